"""The frontier of one bucket: the best predicted plans run in turn, the best of them again, and those that win stay."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from itertools import permutations

from chrion_api import HOST, ONNXRUNTIME, Baseline, Frontier, Optimization, Plan
from chrion_graph.equality import difference
from chrion_graph.graph import Graph
from chrion_planner.captures import is_captured, uncaptured_name
from chrion_planner.elimination import Elimination, in_first
from chrion_planner.errors import PlanningError
from chrion_planner.frontier import CLEARLY, is_plainer, is_simpler, margin, pareto, predicted_to_beat
from chrion_planner.measuring import (
    Arrays,
    Contender,
    PlanContender,
    Referee,
    Result,
    SessionContender,
    Trial,
    contest,
    latency,
)
from chrion_planner.prepare import Prepared, PreparedBucket
from chrion_planner.reference import ReferenceRuns
from chrion_planner.rounding import check_errors
from chrion_planner.settings import PlanningSettings
from chrion_planner.tuning import Race, TwinElimination, settle, tune
from chrion_runtime.devices import open_devices, traits_of
from chrion_runtime.engines import Engine, engine_named, engines_on

MEASURED_PLANS, _SEVERAL_STAGES = 12, 3
"""Candidates of one bucket that are measured, and those of several stages among them: the next ones are much alike."""
_ROUNDS = 8
_FINALISTS = 1.15
"""Plans within this of the fastest one's time are measured again, in new processes, to tell them apart."""
_UNNOTICED = 5e-6
"""Nor are they measured again if they differ by less than these seconds, which no request would notice."""
_FINALS, _FINAL_ROUNDS = 2, 6
_TUNING_ROUNDS = 4
_TURN_SECONDS = 0.04
_TUNED = 1.2
"""Plans within this of the fastest one's time are worth tuning: it seldom gains more."""
_TUNED_BY = 0.02
"""What a plan must gain by being tuned."""


def measured_frontier(
    bucket: PreparedBucket, candidates: Sequence[Plan], prepared: Prepared, settings: PlanningSettings
) -> tuple[Frontier, bool]:
    """The frontier of what was measured, and whether every plan had its time.

    Raises PlanningError where not one candidate could be run.
    """

    def contender(plan: Plan) -> PlanContender:
        return PlanContender(plan, prepared.folder, settings.devices, settings.cpu_lanes, bucket.feeds)

    def contenders(plans: Sequence[Plan]) -> list[Contender]:
        return list(map(contender, plans))

    baselines = _baselines(bucket, prepared, settings)
    worth = _worth_measuring(candidates)
    first = in_first(worth)
    plans = [*first, *(plan for plan in worth if plan not in first)]
    results = _contest(
        [*baselines, *contenders(plans)],
        _ROUNDS,
        settings.step(0.0, 0.6, "measuring"),
        latecomers=len(plans) - len(first),
        referee=Elimination(plans, len(baselines)),
    )
    of_baselines, of_plans = results[: len(baselines)], results[len(baselines) :]
    expected = _expected(of_baselines, settings)
    trials = [Trial(plan, settings.precision.max_error) for plan in plans]
    for trial, result in zip(trials, of_plans, strict=True):
        _add(trial, result, expected, settings)
    if not any(trial.fine for trial in trials):
        raise PlanningError(f"no plan could be measured: {trials[0].problem or 'time ran out; raise the timeout'}")

    def race(plans: Sequence[Plan]) -> list[Result]:
        return _contest(contenders(plans), _TUNING_ROUNDS, settings.step(0.6, 0.7, "tuning"), referee=TwinElimination())

    def final(plans: Sequence[Plan], number: int) -> list[Result]:
        step = settings.step(0.7, 1.0).step(number / _FINALS, (number + 1) / _FINALS, "finals")
        return _contest(contenders(plans), _FINAL_ROUNDS, step, referee=Elimination(plans, expected=expected))

    graphs = [variant.bucket.graph for variant in bucket.variants]
    pair = _tune(trials, race, graphs, settings)
    tried = [*trials, pair[1]] if pair else trials
    _finals(tried, pair or (), final, expected, settings)
    settled = settle(trials, *pair, by=_TUNED_BY) if pair else trials
    running = [trial for trial in settled if trial.in_the_running]
    check_errors(running, lambda trial: contender(trial.plan), baselines[0], bucket.samples, settings)
    kept = {trial.plan.name: trial for trial in running if trial.in_the_running}
    if not kept:
        raise PlanningError("no plan ran in every process in which it was measured")
    frontier = Frontier(
        inputs=dict(bucket.variants[0].bucket.inputs),
        plans=pareto(
            [trial.plan for trial in kept.values()],
            lambda one, other: kept[one.name].beats(kept[other.name], margin(one, other)),
        ),
        baselines=tuple(
            Baseline(name=result.name, measured=latency(result.rounds)) for result in of_baselines if result.rounds
        ),
        candidates=tuple(
            sorted((trial.candidate for trial in tried), key=lambda one: (one.predicted_seconds, one.name))
        ),
    )
    return frontier, time.monotonic() < settings.deadline


def _add(trial: Trial, result: Result, expected: Arrays, settings: PlanningSettings) -> None:
    trial.add(result, expected)
    if trial.problem:
        settings.warn(f"plan {trial.plan.name} is dropped: {trial.problem}")


def _tune(
    trials: Sequence[Trial], race: Race, graphs: Sequence[Graph], settings: PlanningSettings
) -> tuple[Trial, Trial] | None:
    """The fastest plan of several stages, and it tuned, which has no figures yet; None where tuning has no use."""
    fine = [trial for trial in trials if trial.fine]
    original = min((trial for trial in fine if len(trial.plan.stages) > 1), key=_seconds, default=None)
    if original is None or time.monotonic() > settings.deadline:
        return None
    if _seconds(original) > _TUNED * min(map(_seconds, fine)):
        return None
    graph = next(graph for graph in graphs if graph.digest == original.plan.graph)
    takers = {name: partial(_takes, engine_named(name), graph) for name in engines_on(HOST) if name != ONNXRUNTIME}
    plan = tune(original.plan, race, takers)
    return (original, Trial(plan, original.max_error, [[]])) if plan else None


def _takes(engine: Engine, graph: Graph, nodes: Collection[int]) -> bool:
    return engine.takes(graph, nodes, HOST)


def _finals(
    trials: Sequence[Trial],
    pair: Sequence[Trial],
    race: Callable[[Sequence[Plan], int], Sequence[Result]],
    expected: Arrays,
    settings: PlanningSettings,
) -> None:
    """Measure the fastest plans, and a plan and it tuned, again in new processes, while some are in doubt.

    A plan that the fastest does not beat for certain yet is among them, however much slower it looks: else a simpler
    one would be kept for want of rounds. Those that cannot be kept any more leave. Once is enough where of those that
    are left none is plainer than another: either may then be kept.
    """
    fine = [trial for trial in trials if trial.in_the_running]
    fastest = min(fine, key=_seconds)
    finalists = [
        trial
        for trial in trials
        if trial in pair
        or (
            trial in fine
            and (
                _seconds(trial) <= _seconds(fastest) * _FINALISTS
                or not fastest.beats(trial, margin(fastest.plan, trial.plan))
            )
        )
    ]
    if max(map(_seconds, finalists)) - min(map(_seconds, finalists)) < _UNNOTICED:
        return
    for number in range(_FINALS):
        finalists = [trial for trial in finalists if not trial.problem and (trial in pair or not trial.eliminated)]
        for trial in sorted(finalists, key=_seconds, reverse=True):
            if trial not in pair and _is_out(trial, finalists, _FINALS - number):
                finalists.remove(trial)
        in_doubt = [trial.plan for trial in finalists if not trial.eliminated]
        settled = number and not pair and not any(is_plainer(one, other) for one, other in permutations(in_doubt, 2))
        if len(in_doubt) < 2 or settled or time.monotonic() > settings.deadline:
            return
        for trial, result in zip(finalists, race([trial.plan for trial in finalists], number), strict=True):
            _add(trial, result, expected, settings)


def _is_out(trial: Trial, others: Sequence[Trial], left: int) -> bool:
    """Whether one of the others would be kept instead, whatever comes of so many more processes.

    Plans that round weights may yet be dropped, and put none out.
    """
    return any(
        (len(trial.processes) > 1 and other.beats(trial, margin(other.plan, trial.plan)))
        or (is_simpler(other.plan, trial.plan) and not trial.may_beat(other, margin(trial.plan, other.plan), left))
        for other in others
        if other is not trial
        and other.in_the_running
        and not other.plan.rounds_weights
        and other.plan.gpu_bytes.total <= trial.plan.gpu_bytes.total
    )


def _seconds(trial: Trial) -> float:
    return trial.plan.seconds


def _contest(
    contenders: Sequence[Contender],
    rounds: int,
    settings: PlanningSettings,
    latecomers: int = 0,
    referee: Referee | None = None,
) -> list[Result]:
    lanes = len(open_devices([], settings.cpu_lanes)[HOST].lanes)
    reference = ReferenceRuns(lanes, settings.deadline)
    results = contest(
        contenders,
        settings.limits,
        rounds=rounds,
        turn_seconds=_TURN_SECONDS,
        deadline=settings.deadline,
        progress=settings.progress,
        loading=settings.loading or (lanes if settings.devices == (HOST,) else 1),
        server=settings.server,
        latecomers=latecomers,
        referee=referee,
        reference=reference,
    )
    if reference.tainted:
        settings.warn(f"while plans were measured {reference.tainted}")
    return results


def _expected(baselines: Sequence[Result], settings: PlanningSettings) -> Arrays:
    """What every plan must answer; nothing where the model itself answers one thing and then another."""
    one, other = baselines[0].outputs, baselines[1].outputs
    if unsteady := difference(other, one):
        settings.warn(f"the model's answers differ from run to run ({unsteady}); plans are not checked against them")
        return {}
    return one


def _baselines(bucket: PreparedBucket, prepared: Prepared, settings: PlanningSettings) -> list[SessionContender]:
    devices = [device for device in settings.devices if traits_of(device).provider]
    return [
        SessionContender("onnxruntime-default", prepared.model, bucket.feeds),
        SessionContender("onnxruntime-1-thread", prepared.model, bucket.feeds, threads=1),
        *(
            SessionContender(f"onnxruntime-{device.partition(':')[0]}", prepared.model, bucket.feeds, device=device)
            for device in devices[:1]
        ),
    ]


def _worth_measuring(plans: Sequence[Plan]) -> list[Plan]:
    """The model as it is on each single device, whatever is predicted of it; then the best predicted of all others.

    With every optimisation a single device is what people would use instead, so it is always among them; without, only
    where that is predicted to gain clearly. Where there are plans with CUDA graphs, the best of them are measured too.
    """
    singles: dict[tuple[str, ...], Plan] = {}
    alone = [plan for plan in plans if len(plan.stages) == 1 and not is_captured(plan)]
    for plan in sorted(alone, key=lambda plan: not _is_optimized(plan)):
        place = (*plan.stages[0].lanes, *(rewrite.to_json() for rewrite in plan.rewrites))
        other = singles.get(place)
        if other is None or plan.predicted_seconds < other.predicted_seconds * (1 - CLEARLY):
            singles[place] = plan
    frontier = pareto(plans, predicted_to_beat)
    several = sorted((plan for plan in plans if len(plan.stages) > 1), key=_predicted)
    wanted = [
        *(plan for plan in alone if _is_optimized(plan) and not plan.rewrites),
        *(plan for plan in singles.values() if not plan.rewrites),
        *_pairs(plans),
        *(plan for plan in frontier if plan.gpu_bytes.total),
        *sorted([*singles.values(), *several[:_SEVERAL_STAGES]], key=_predicted),
    ]
    return list({plan.name: plan for plan in wanted}.values())[:MEASURED_PLANS]


def _is_optimized(plan: Plan) -> bool:
    """Whether its only stage runs as ONNX Runtime runs models by default."""
    return plan.stages[0].options.get("optimization") == Optimization.ALL


def _pairs(plans: Sequence[Plan]) -> Iterator[Plan]:
    """The best predicted plans with CUDA graphs, one of a single stage and one of several; and each without them.

    What a CUDA graph saves is seldom known beforehand, so the two are measured in the same rounds.
    """
    named = {plan.name: plan for plan in plans}
    captured = sorted(filter(is_captured, plans), key=_predicted)
    for several in (False, True):
        best = next((plan for plan in captured if (len(plan.stages) > 1) == several), None)
        if best is not None:
            yield best
            yield from (named[name] for name in (uncaptured_name(best),) if name in named)


def _predicted(plan: Plan) -> tuple[float, str]:
    return plan.predicted_seconds, plan.name
