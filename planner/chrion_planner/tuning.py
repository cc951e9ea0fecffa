"""Tune a plan of several stages: each of them with ONNX Runtime's graph optimisation or without, whichever is faster.

Fusion and layouts cost a small stage more than they gain where what they insert outweighs what they save. No profile of
single nodes tells, so the plan and its twin without optimisation run in turn, and their stages are compared.
"""

from collections.abc import Callable, Iterable, Sequence
from statistics import median

from chrion_api import Optimization, Plan, Stage
from chrion_planner.measuring import Result, Trial

Race = Callable[[Sequence[Plan]], Sequence[Result]]
"""Measures plans in turn, each in a process of its own."""

_GAIN = 0.05
"""The part of its time that a stage must gain to be changed."""


def tune(plan: Plan, race: Race) -> Plan | None:
    """The plan with each stage optimised or not as is faster; None where it is best as it is, or cannot run without."""
    if len(plan.stages) < 2 or not any(map(_can_differ, plan.stages)):
        return None
    optimised, plain = race([plan, _with(plan, f"{plan.name}-plain", map(_plain, plan.stages))])
    return None if optimised.error or plain.error else tuned(plan, optimised, plain)


def tuned(plan: Plan, optimised: Result, plain: Result) -> Plan | None:
    """The plan without optimisation in those sessions that gain by it; None where none does.

    Stages that share a session are decided on together, for apart they would need two, each with the weights.
    """
    sessions = optimised.sessions
    gains = {
        session
        for session in set(sessions)
        if _ratio(plain, optimised, [index for index, other in enumerate(sessions) if other == session]) <= 1 - _GAIN
    }
    if not gains:
        return None
    stages = [
        _plain(stage) if session in gains else stage for stage, session in zip(plan.stages, sessions, strict=True)
    ]
    return _with(plan, f"{plan.name}-tuned", stages)


def settle(trials: Sequence[Trial], original: Trial, tuned: Trial, by: float) -> list[Trial]:
    """The trials, with the tuned plan in place of its original where it beats it by the part `by`, beyond noise.

    Where it takes more GPU memory both are kept. The tuned plan was in no process but those that the original was in.
    """
    if not (tuned.fine and tuned.beats(original, by)):
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


def _ratio(one: Result, other: Result, stages: Sequence[int]) -> float:
    """How many times as long `one` takes for some stages: the median over rounds."""
    return median(
        sum(mine[stage] for stage in stages) / sum(theirs[stage] for stage in stages)
        for mine, theirs in zip(one.stages, other.stages, strict=False)
    )


def _with(plan: Plan, name: str, stages: Iterable[Stage]) -> Plan:
    """The plan under another name and with other stages, not measured yet."""
    return plan.model_copy(update={"name": name, "stages": tuple(stages), "measured": None})
