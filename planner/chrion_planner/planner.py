"""Plan a model: profile it, partition it, measure the best candidates, keep the frontier."""

from collections.abc import Sequence
from dataclasses import replace

from chrion_api import Frontier, PlanFile, Profile
from chrion_planner.candidates import Candidates, candidates
from chrion_planner.errors import ProfileMismatch
from chrion_planner.frontier import pareto, predicted_to_beat
from chrion_planner.measured_frontier import measured_frontier
from chrion_planner.partition import Budget
from chrion_planner.plans import is_profiled, unprofiled_plans
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
            variant.bucket.graph, variant.bucket.inputs, variant.bucket.shapes, bucket.feeds, bool(variant.rewrites)
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
    )


def predicted_plans(prepared: Prepared, profile: Profile, budget: Budget) -> PlanFile:
    """The frontier as the profile predicts it; nothing is measured, and the same input gives the same plans.

    Raises ProfileMismatch.
    """
    found = find_candidates(prepared, profile, budget)
    frontiers = [
        Frontier(
            inputs=dict(bucket.variants[0].bucket.inputs),
            plans=pareto(options.plans, predicted_to_beat),
        )
        for bucket, options in zip(prepared.buckets, found, strict=True)
    ]
    return PlanFile(
        model=prepared.digest,
        devices={device.name: device.key for device in profile.devices},
        buckets=tuple(frontiers),
        truncated=any(options.truncated for options in found),
    )


def find_candidates(prepared: Prepared, profile: Profile, budget: Budget) -> list[Candidates]:
    """What each bucket's plans are chosen from, before any is measured. Raises ProfileMismatch."""
    _check(prepared, profile)
    return [candidates(bucket.variants, profile, budget) for bucket in prepared.buckets]


def measured_plans(
    prepared: Prepared, profile: Profile, settings: PlanningSettings, found: Sequence[Candidates] | None = None
) -> PlanFile:
    """The frontier of the best candidates as measured on this machine, with the baselines beside them.

    `found` are those of each bucket where they are known already, from `find_candidates`. What the profile has no
    figures of, since its time ran out, is left out; at worst the model as it is on the CPU is all that is measured.
    Raises ProfileMismatch, PlanningError where not one candidate could be run.
    """
    _check(prepared, profile)
    count = len(prepared.buckets)
    searching, measuring = settings.step(0.0, _SEARCHED), settings.step(_SEARCHED, 1.0)
    options = found or [
        _candidates(bucket, profile, searching.part(number, count)) for number, bucket in enumerate(prepared.buckets)
    ]
    frontiers = []
    truncated = any(one.truncated for one in options)
    for number, (bucket, one) in enumerate(zip(prepared.buckets, options, strict=True)):
        frontier, complete = measured_frontier(bucket, one.plans, prepared, measuring.part(number, count))
        frontiers.append(frontier)
        truncated |= not complete
    devices = open_devices(settings.devices, settings.cpu_lanes)
    return PlanFile(
        model=prepared.digest,
        devices={name: key_of(device) for name, device in devices.items()},
        buckets=tuple(frontiers),
        truncated=truncated,
    )


def _candidates(bucket: PreparedBucket, profile: Profile, settings: PlanningSettings) -> Candidates:
    covered = [variant for variant in bucket.variants if is_profiled(variant, profile, settings.devices)]
    if not covered:
        return Candidates(tuple(unprofiled_plans(bucket.variants[0], settings.cpu_lanes)), truncated=True)
    settings.progress(f"searching: {len(covered)} graphs", 0.0)
    found = candidates(covered, profile, settings.budget, settings.searched_by)
    return replace(found, truncated=found.truncated or len(covered) < len(bucket.variants))


def _check(prepared: Prepared, profile: Profile) -> None:
    if profile.model != prepared.digest:
        raise ProfileMismatch(
            f"the profile was made for model {profile.model[:12]}, this is {prepared.digest[:12]}: profile again"
        )
