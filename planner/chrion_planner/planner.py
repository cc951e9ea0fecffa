"""Plan a model: profile it, partition it, measure the best candidates, keep the frontier."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from math import inf

from chrion_api import HOST, Frontier, PlanFile, Profile
from chrion_graph.model_worker import ModelWorker
from chrion_graph.rewrite import keeps_layers
from chrion_planner.candidates import Candidates, candidates
from chrion_planner.errors import ProfileMismatch
from chrion_planner.frontier import pareto, predicted_to_beat
from chrion_planner.measured_frontier import measured_frontier
from chrion_planner.partition import Budget
from chrion_planner.plans import Rewritten, is_profiled, unprofiled_plans
from chrion_planner.prepare import Prepared, PreparedBucket
from chrion_planner.profiling import Variant, profile_devices
from chrion_planner.settings import PlanningSettings
from chrion_runtime.devices import open_devices
from chrion_runtime.engines import key_of

_SEARCHED = 0.2
"""The part of a measured plan that is behind when the search is, about."""


def make_profile(prepared: Prepared, settings: PlanningSettings) -> Profile:
    """Measure every kind of node of the model on every device, while there is time for it.

    Raises DeviceUnavailable, LimitExceeded.
    """
    variants = [
        Variant(
            variant.bucket.graph,
            variant.bucket.inputs,
            variant.bucket.shapes,
            bucket.feeds,
            rewritten=bool(variant.rewrites),
            parts=keeps_layers(variant.rewrites),
        )
        for bucket in prepared.buckets
        for variant in bucket.variants
    ]
    return profile_devices(
        prepared.digest,
        variants,
        settings.devices,
        settings.cpu_lanes,
        settings.limits,
        settings.progress,
        warn=settings.warn,
        deadline=settings.profiled_by,
        server=settings.server,
        figures=settings.figures,
        weights=settings.precision.weights,
    )


def predicted_plans(prepared: Prepared, profile: Profile, budget: Budget) -> PlanFile:
    """The frontier as the profile predicts it; nothing is measured, and the same input gives the same plans.

    Plans that round weights are left out: without a run their error is unknown. Raises ProfileMismatch.
    """
    found = find_candidates(prepared, profile, budget)
    frontiers = [
        Frontier(
            inputs=dict(bucket.variants[0].bucket.inputs),
            plans=pareto([plan for plan in options.plans if not plan.rounds_weights], predicted_to_beat),
        )
        for bucket, options in zip(prepared.buckets, found, strict=True)
    ]
    return PlanFile(
        model=prepared.digest,
        devices={device.name: device.key for device in profile.devices},
        buckets=tuple(frontiers),
        truncated=any(options.truncated for options in found),
        fallback=prepared.fallback,
    )


def unmeasured_plans(prepared: Prepared, settings: PlanningSettings) -> PlanFile:
    """The model as it is, in one session on all lanes of the CPU, for each bucket: of a model that nothing is known to
    run on. Raises DeviceUnavailable."""
    devices = open_devices((HOST,), settings.cpu_lanes)
    frontiers = [
        Frontier(
            inputs=dict(bucket.variants[0].bucket.inputs),
            plans=tuple(unprofiled_plans(bucket.variants[0], len(devices[HOST].lanes)))[-1:],
        )
        for bucket in prepared.buckets
    ]
    return PlanFile(
        model=prepared.digest,
        devices={HOST: key_of(devices[HOST])},
        buckets=tuple(frontiers),
        fallback=prepared.fallback,
    )


def find_candidates(prepared: Prepared, profile: Profile, budget: Budget) -> list[Candidates]:
    """What each bucket's plans are chosen from, before any is measured, as far as the profile has figures.

    Raises ProfileMismatch where it has not all of any graph.
    """
    _check(prepared, profile)
    devices = [device.name for device in profile.devices]
    return [_profiled_candidates(bucket.variants, profile, devices, budget) for bucket in prepared.buckets]


def measured_plans(
    prepared: Prepared, profile: Profile, settings: PlanningSettings, found: Sequence[Candidates] | None = None
) -> PlanFile:
    """The frontier of the best candidates as measured on this machine, with the baselines beside them.

    `found` are those of each bucket where they are known already, from `find_candidates`. What the profile has no
    figures of, since its time ran out, is left out; at worst the model as it is on the CPU is all that is measured.
    Raises ProfileMismatch, PlanningError where not one candidate could be run.
    """
    _check(prepared, profile)
    settings.progress(f"searching: plans for {len(prepared.buckets)} buckets", 0.0)
    devices = open_devices(settings.devices, settings.cpu_lanes)
    options = found or _found(prepared, profile, settings, len(devices[HOST].lanes))
    measuring = settings.step(_SEARCHED, 1.0)
    frontiers = []
    truncated = any(one.truncated for one in options)
    for number, (bucket, one) in enumerate(zip(prepared.buckets, options, strict=True)):
        frontier, complete = measured_frontier(bucket, one.plans, prepared, measuring.part(number, len(options)))
        frontiers.append(frontier)
        truncated |= not complete
    return PlanFile(
        model=prepared.digest,
        devices={name: key_of(devices[name]) for name in settings.devices},
        buckets=tuple(frontiers),
        truncated=truncated,
        fallback=prepared.fallback,
    )


def _found(prepared: Prepared, profile: Profile, settings: PlanningSettings, lanes: int) -> list[Candidates]:
    """The candidates of every bucket, searched for side by side."""

    def find(bucket: PreparedBucket) -> Candidates:
        arguments = (bucket.variants, profile, settings.devices, lanes, settings.budget, settings.searched_by)
        if len(prepared.buckets) == 1:
            return _candidates(*arguments)
        with ModelWorker(settings.limits.memory, server=settings.server) as worker:
            seconds = settings.limits.seconds + settings.timeout_seconds
            return worker.call(_candidates, *arguments, seconds=seconds, what="searching for plans")

    with ThreadPoolExecutor(lanes) as pool:
        return list(pool.map(find, prepared.buckets))


def _candidates(
    variants: Sequence[Rewritten],
    profile: Profile,
    devices: Sequence[str],
    lanes: int,
    budget: Budget,
    deadline: float,
) -> Candidates:
    """The candidates of the graphs that the profile has all figures of; where there is none, what needs no figures."""
    if not any(is_profiled(variant, profile, devices) for variant in variants):
        return Candidates(tuple(unprofiled_plans(variants[0], lanes)), truncated=True)
    return _profiled_candidates(variants, profile, devices, budget, deadline)


def _profiled_candidates(
    variants: Sequence[Rewritten],
    profile: Profile,
    devices: Sequence[str],
    budget: Budget,
    deadline: float = inf,
) -> Candidates:
    profiled = [variant for variant in variants if is_profiled(variant, profile, devices)]
    found = candidates(profiled or variants, profile, budget, deadline)
    return replace(found, truncated=found.truncated or len(profiled) < len(variants))


def _check(prepared: Prepared, profile: Profile) -> None:
    if profile.model != prepared.digest:
        raise ProfileMismatch(
            f"the profile was made for model {profile.model[:12]}, this is {prepared.digest[:12]}: profile again"
        )
