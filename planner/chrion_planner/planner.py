"""Plan a model: profile it, partition it, measure the best candidates, keep the frontier."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chrion_api import Baseline, Candidate, Frontier, Plan, PlanFile, Profile
from chrion_graph.limits import Limits
from chrion_planner.candidates import Candidates, candidates
from chrion_planner.equality import difference
from chrion_planner.errors import PlanningError, ProfileMismatch
from chrion_planner.frontier import pareto
from chrion_planner.measuring import (
    Arrays,
    Contender,
    PlanContender,
    Result,
    SessionContender,
    contest,
    faster,
    latency,
)
from chrion_planner.partition import Budget
from chrion_planner.prepare import Prepared, PreparedBucket
from chrion_planner.profiling import Variant, profile_devices

Progress = Callable[[str, float], None]
"""Told what is being done, and the part of this step that is behind, from 0 to 1."""

MEASURED_PLANS = 12
"""Candidates of one bucket that are measured."""
_ROUNDS = 10
_FINALISTS = 1.15
"""Plans within this of the fastest one's time are measured again, in new processes, to tell them apart."""
_FINALS, _FINAL_ROUNDS = 2, 8
_TURN_SECONDS = 0.06
_CLEARLY, _JUST = 0.05, 0.02
"""Gains that count for plans with rewrites or several stages, and for the model as it is on other lanes. Without
optimisation a single device is measured only where the profile says that it gains clearly."""


def silent(what: str, done: float) -> None:
    """Progress that nobody wants to know of."""
    del what, done


def _unheard(warning: str) -> None:
    del warning


@dataclass(frozen=True)
class Settings:
    """What planning may use and take."""

    devices: tuple[str, ...] = ("cpu",)
    cpu_lanes: int = 0
    """0 for as many as the process may use."""
    limits: Limits = field(default_factory=Limits)
    budget: Budget = field(default_factory=Budget)
    timeout_seconds: float = 600.0
    """What profiling and measuring may take together; the best so far is kept."""
    started: float = field(default_factory=time.monotonic)
    progress: Progress = silent
    warn: Callable[[str], None] = _unheard
    """Told of candidates that were dropped, and of profiles measured while other work went on."""

    @property
    def deadline(self) -> float:
        """When profiling and measuring end, by `time.monotonic`."""
        return self.started + self.timeout_seconds


def make_profile(prepared: Prepared, settings: Settings) -> Profile:
    """Measure every kind of node of the model on every device. Raises DeviceUnavailable, LimitExceeded."""
    variants = [
        Variant(variant.bucket.graph, variant.bucket.inputs, variant.bucket.shapes, bucket.feeds)
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
        deadline=settings.deadline,
    )


def predicted_plans(prepared: Prepared, profile: Profile, budget: Budget) -> PlanFile:
    """The frontier as the profile predicts it; nothing is measured, and the same input gives the same plans.

    Raises ProfileMismatch.
    """
    found = [_candidates(bucket, prepared, profile, budget) for bucket in prepared.buckets]
    frontiers = [
        Frontier(
            inputs=dict(bucket.variants[0].bucket.inputs),
            plans=pareto(options.plans, lambda one, other: one.predicted_seconds < other.predicted_seconds),
        )
        for bucket, options in zip(prepared.buckets, found, strict=True)
    ]
    return _file(prepared, profile, frontiers, any(options.truncated for options in found))


def measured_plans(prepared: Prepared, profile: Profile, settings: Settings) -> PlanFile:
    """The frontier of the best candidates as measured on this machine, with the baselines beside them.

    Raises ProfileMismatch, PlanningError where not one candidate could be run.
    """
    frontiers = []
    truncated = False
    for bucket in prepared.buckets:
        options = _candidates(bucket, prepared, profile, settings.budget)
        frontier, complete = _measure(bucket, _worth_measuring(options.plans), prepared, settings)
        frontiers.append(frontier)
        truncated |= options.truncated or not complete
    return _file(prepared, profile, frontiers, truncated)


def _candidates(bucket: PreparedBucket, prepared: Prepared, profile: Profile, budget: Budget) -> Candidates:
    if profile.model != prepared.digest:
        raise ProfileMismatch(
            f"the profile was made for model {profile.model[:12]}, this is {prepared.digest[:12]}: profile again"
        )
    return candidates(bucket.variants, profile, budget)


def _worth_measuring(plans: Sequence[Plan]) -> list[Plan]:
    """The model as it is on each single device, whatever is predicted of it; then the best predicted of all others."""
    singles: dict[tuple[str, ...], Plan] = {}
    for plan in (plan for plan in plans if len(plan.stages) == 1):
        place = (*plan.stages[0].lanes, *(rewrite.to_json() for rewrite in plan.rewrites))
        other = singles.get(place)
        if other is None or plan.predicted_seconds < other.predicted_seconds * (1 - _CLEARLY):
            singles[place] = plan
    frontier = pareto(plans, lambda one, other: one.predicted_seconds < other.predicted_seconds)
    wanted = [
        *(plan for plan in singles.values() if not plan.rewrites),
        *(plan for plan in frontier if plan.gpu_bytes.total),
        *sorted([*singles.values(), *(plan for plan in plans if len(plan.stages) > 1)], key=_predicted),
    ]
    return list({plan.name: plan for plan in wanted}.values())[:MEASURED_PLANS]


def _predicted(plan: Plan) -> tuple[float, str]:
    return plan.predicted_seconds, plan.name


def _measure(
    bucket: PreparedBucket, plans: Sequence[Plan], prepared: Prepared, settings: Settings
) -> tuple[Frontier, bool]:
    baselines = _baselines(bucket, prepared, settings)
    contenders: list[Contender] = [
        *baselines,
        *(PlanContender(plan, prepared.folder, settings.devices, settings.cpu_lanes, bucket.feeds) for plan in plans),
    ]
    results = _contest(contenders, _ROUNDS, settings)
    of_baselines, of_plans = results[: len(baselines)], results[len(baselines) :]
    measured: list[Plan] = []
    tried: list[Candidate] = []
    rounds: dict[str, list[list[list[float]]]] = {}
    expected = _expected(of_baselines, settings)
    problems = [result.error or difference(result.outputs, expected) for result in of_plans]
    for plan, result, problem in zip(plans, of_plans, problems, strict=True):
        tried.append(
            Candidate(
                name=plan.name,
                stages=len(plan.stages),
                predicted_seconds=plan.predicted_seconds,
                measured=latency(result.rounds) if result.rounds else None,
                problem=problem,
            )
        )
        if problem:
            settings.warn(f"plan {plan.name} is dropped: {problem}")
        elif result.rounds:
            gpu_bytes = result.gpu_bytes if result.gpu_bytes is not None else plan.gpu_bytes
            update = {"measured": latency(result.rounds), "gpu_bytes": gpu_bytes}
            measured.append(plan.model_copy(update=update))
            rounds[plan.name] = [result.rounds]
    if not measured:
        raise PlanningError(f"no plan could be measured: {problems[0] or 'time ran out; raise the timeout'}")
    _measure_finalists(measured, contenders, rounds, settings)
    frontier = Frontier(
        inputs=dict(bucket.variants[0].bucket.inputs),
        plans=pareto(measured, lambda one, other: faster(rounds[one.name], rounds[other.name], _margin(one))),
        baselines=tuple(
            Baseline(name=result.name, measured=latency(result.rounds)) for result in of_baselines if result.rounds
        ),
        candidates=tuple(sorted(tried, key=lambda one: (one.predicted_seconds, one.name))),
    )
    return frontier, all(len(processes[0]) == _ROUNDS for processes in rounds.values())


def _margin(plan: Plan) -> float:
    """How much faster a plan must be than a simpler one: of many candidates, some look a little faster by chance."""
    return _CLEARLY if plan.rewrites or len(plan.stages) > 1 else _JUST


def _measure_finalists(
    measured: Sequence[Plan],
    contenders: Sequence[Contender],
    rounds: dict[str, list[list[list[float]]]],
    settings: Settings,
) -> None:
    """Measure the fastest plans again in new processes, and add what comes of it to `rounds`."""
    fastest = min(plan.seconds for plan in measured)
    names = {plan.name for plan in measured if plan.seconds <= fastest * _FINALISTS}
    finalists = [contender for contender in contenders if contender.name in names]
    for _ in range(_FINALS if len(finalists) > 1 else 0):
        if time.monotonic() > settings.deadline:
            return
        for result in _contest(finalists, _FINAL_ROUNDS, settings):
            if result.rounds and not result.error:
                rounds[result.name].append(result.rounds)


def _contest(contenders: Sequence[Contender], rounds: int, settings: Settings) -> list[Result]:
    return contest(
        contenders,
        settings.limits,
        rounds=rounds,
        turn_seconds=_TURN_SECONDS,
        deadline=settings.deadline,
        progress=settings.progress,
    )


def _expected(baselines: Sequence[Result], settings: Settings) -> Arrays:
    """What every plan must answer; nothing where the model itself answers one thing and then another."""
    one, other = baselines[0].outputs, baselines[1].outputs
    if unsteady := difference(other, one):
        settings.warn(f"the model's answers differ from run to run ({unsteady}); plans are not checked against them")
        return {}
    return one


def _baselines(bucket: PreparedBucket, prepared: Prepared, settings: Settings) -> list[SessionContender]:
    found = [
        SessionContender("onnxruntime-default", prepared.model, bucket.feeds),
        SessionContender("onnxruntime-1-thread", prepared.model, bucket.feeds, threads=1),
    ]
    if any(device.startswith("cuda") for device in settings.devices):
        providers = ("CUDAExecutionProvider", "CPUExecutionProvider")
        found.append(SessionContender("onnxruntime-cuda", prepared.model, bucket.feeds, providers=providers))
    return found


def _file(prepared: Prepared, profile: Profile, frontiers: Sequence[Frontier], truncated: bool) -> PlanFile:
    return PlanFile(
        model=prepared.digest,
        devices={device.name: device.key for device in profile.devices},
        buckets=tuple(frontiers),
        truncated=truncated,
    )
