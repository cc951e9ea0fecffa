"""Tune a plan of several stages: each of them by the engine, and with the options, by which it is fastest.

Fusion and layouts cost a small stage more than they gain where what they insert outweighs what they save, and engines
differ by what they fuse. No profile of single nodes tells, so the plan and its twins, in each of which all stages run
in one other way, run in turn, and their stages are compared.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from statistics import median

from chrion_api import HOST, WEIGHTS, Optimization, Plan, Stage, WeightFormat, rounds_weights
from chrion_planner.measuring import Result, Trial
from chrion_runtime.engines import engine_named

Race = Callable[[Sequence[Plan]], Sequence[Result]]
"""Measures plans in turn, each in a process of its own."""

_GAIN = 0.05
"""The part of its time that a stage must gain to be changed."""


Takers = Mapping[str, Callable[[Collection[int]], bool]]
"""By engine whether it takes some nodes on the host as one kernel."""


def tune(plan: Plan, race: Race, takers: Takers) -> Plan | None:
    """The plan with each stage run as is fastest; None where it is best as it is, or there is nothing to choose.

    `takers` are the engines besides ONNX Runtime, on the plan's graph.
    """
    twins = list(_twins(plan, takers)) if len(plan.stages) > 1 else []
    if not twins:
        return None
    original, *others = race([plan, *twins])
    return None if original.error else tuned(plan, original, list(zip(twins, others, strict=True)))


def tuned(plan: Plan, original: Result, twins: Sequence[tuple[Plan, Result]]) -> Plan | None:
    """The plan with those kernels run as in a twin that gain most by it; None where none gains.

    Stages that share a kernel are decided on together, for apart they would need two, each with the weights.
    """
    stages = list(plan.stages)
    for shared in _kernels(original.sessions):
        found = [(median(_ratios(result, original, shared)), twin) for twin, result in twins if not result.error]
        best, twin = min(found, key=lambda pair: pair[0], default=(1.0, plan))
        if best <= 1 - _GAIN:
            for index in shared:
                stages[index] = twin.stages[index]
    return None if tuple(stages) == plan.stages else _with(plan, f"{plan.name}-tuned", stages)


class TwinElimination:
    """Rules out the twins, all contenders but the first, of which no kernel could be taken after any round so far."""

    def eliminates(self, index: int, results: Sequence[Result]) -> bool:
        """Whether every kernel of the plan gained too little as the n-th contender runs it, in each round."""
        original, twin = results[0], results[index]
        if not index or original.error or twin.error:
            return False
        return all(
            min(_ratios(twin, original, shared), default=1.0) > 1 - _GAIN for shared in _kernels(original.sessions)
        )

    def decided(self, results: Sequence[Result]) -> bool:
        """Whether no twin is left, or nothing to compare them with."""
        original, *twins = results
        return bool(original.error) or all(twin.error or twin.eliminated for twin in twins)


def _twins(plan: Plan, takers: Takers) -> Iterator[Plan]:
    """The plan with all stages run in another way that may be faster."""
    if any(map(_can_differ, plan.stages)):
        yield _with(plan, f"{plan.name}-plain", map(_plain, plan.stages))
    rounded = (str(stage.options[WEIGHTS]) for stage in plan.stages if rounds_weights(stage.options))
    weights = WeightFormat(next(rounded, WeightFormat.FLOAT32))
    for name, takes in takers.items():
        choices = [
            engine_named(name).choices(len(stage.lanes), weights) if stage.device == HOST and takes(stage.nodes) else ()
            for stage in plan.stages
        ]
        for number in range(max(map(len, choices))):
            changed = tuple(
                stage.model_copy(update={"engine": name, "options": dict(options[number])})
                if number < len(options)
                else stage
                for stage, options in zip(plan.stages, choices, strict=True)
            )
            if changed != plan.stages:
                yield _with(plan, f"{plan.name}-{name}-{number}", changed)


def settle(trials: Sequence[Trial], original: Trial, tuned: Trial, by: float) -> list[Trial]:
    """The trials, with the tuned plan in place of its original where it beats it by the part `by`, beyond noise, or
    stayed where that was eliminated.

    Where it takes more GPU memory both are kept. The tuned plan was in no process but those that the original was in.
    """
    if not (tuned.in_the_running and (original.eliminated or tuned.beats(original, by))):
        return list(trials)
    # Some others were measured beside the original alone. Its figures there, no better than its own, stand for it.
    tuned.processes = [own or others for own, others in zip(tuned.processes, original.processes, strict=True)]
    if tuned.plan.gpu_bytes.total > original.plan.gpu_bytes.total:
        return [*trials, tuned]
    return [tuned if trial is original else trial for trial in trials]


def _plain(stage: Stage) -> Stage:
    return stage.with_options(optimization="")


def _can_differ(stage: Stage) -> bool:
    """Whether optimisation can change it: a single node has nothing to be fused with, but a layout where it is Conv."""
    return stage.options.get("optimization") == Optimization.ALL and (len(stage.nodes) > 1 or "Conv" in stage.operators)


def _kernels(sessions: Sequence[int]) -> list[list[int]]:
    """The stages of each kernel."""
    return [[index for index, other in enumerate(sessions) if other == kernel] for kernel in dict.fromkeys(sessions)]


def _ratios(one: Result, other: Result, stages: Sequence[int]) -> list[float]:
    """How many times as long `one` takes for some stages, in each round that both had."""
    return [
        sum(mine[stage] for stage in stages) / sum(theirs[stage] for stage in stages)
        for mine, theirs in zip(one.stages, other.stages, strict=False)
    ]


def _with(plan: Plan, name: str, stages: Iterable[Stage]) -> Plan:
    """The plan under another name and with other stages, not measured yet."""
    return plan.model_copy(update={"name": name, "stages": tuple(stages), "measured": None})
