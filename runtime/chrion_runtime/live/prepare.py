"""Prepare the buckets that serve next: compile and load their plans beside those in use, and check that they agree."""

from collections.abc import Sequence

from chrion_api import Frontier, Plan
from chrion_graph.equality import difference, error
from chrion_runtime.choice.selection import Selection
from chrion_runtime.errors import PlanRefused
from chrion_runtime.live.workshop import Workshop
from chrion_runtime.run.compiled_plan import CompiledPlan
from chrion_runtime.run.loading import Loader, ServedBucket, alone, nearest
from chrion_runtime.servable import Array

_SLACK = 2.0
"""How many times as far as was measured plans that round weights may be off: other inputs, other errors."""


def prepare(
    loader: Loader,
    current: Sequence[ServedBucket],
    frontiers: Sequence[Frontier],
    chosen: Sequence[Selection],
    workshop: Workshop,
) -> tuple[ServedBucket, ...]:
    """A bucket for each frontier with its chosen plan, loaded, warmed and checked; what serves now is kept where it
    is the same.

    Raises ChrionError where a plan does not fit, cannot be loaded, or answers otherwise than what serves now.
    """
    compiled_plans = _compile(loader, current, chosen, workshop)
    single = alone(compiled_plans)
    loader.share_budget(compiled_plans)
    return tuple(
        _kept(current, frontier, selection, single) or _made(loader, current, frontier, selection, compiled, single)
        for frontier, selection, compiled in zip(frontiers, chosen, compiled_plans, strict=True)
    )


def _compile(
    loader: Loader, current: Sequence[ServedBucket], chosen: Sequence[Selection], workshop: Workshop
) -> list[CompiledPlan]:
    known = [bucket.executor.loaded.compiled for bucket in current]
    missing: list[Plan] = []
    for selection in chosen:
        if all(selection.plan != plan for plan in (*(one.plan for one in known), *missing)):
            missing.append(selection.plan)
    if missing:
        known += workshop.compile(loader.model.folder, missing)
    return [next(one for one in known if one.plan == selection.plan) for selection in chosen]


def _kept(
    current: Sequence[ServedBucket], frontier: Frontier, selection: Selection, single: bool
) -> ServedBucket | None:
    for bucket in current:
        loaded = bucket.executor.loaded
        same = loaded.plan == selection.plan and bucket.frontier.inputs == frontier.inputs
        if same and loaded.alone == single:
            return ServedBucket(frontier, selection, bucket.executor)
    return None


def _made(
    loader: Loader,
    current: Sequence[ServedBucket],
    frontier: Frontier,
    selection: Selection,
    compiled: CompiledPlan,
    single: bool,
) -> ServedBucket:
    serving = nearest(current, frontier.inputs)[0].executor
    feeds, expected = loader.answered(serving.run, frontier.inputs)
    # Where the model itself answers one thing and then another, there is nothing to compare.
    steady = not difference(serving.run(feeds), expected)
    executor, found = loader.load(compiled, frontier.inputs, single)
    if steady:
        for answer in (found, executor.run(feeds)):  # by the bound values too, as requests are run
            if problem := _problem(answer, expected, selection.plan, serving.loaded.plan):
                raise PlanRefused(f'plan "{selection.plan.name}" answers differently from the plan in use: {problem}')
    return ServedBucket(frontier, selection, executor)


def _problem(found: dict[str, Array], expected: dict[str, Array], plan: Plan, serving: Plan) -> str:
    """How the answers of a plan differ from those of the one that serves; empty where they may."""
    if not (plan.rounds_weights or serving.rounds_weights):
        return difference(found, expected)
    allowed = _SLACK * sum(one.error or 0.0 for one in (plan, serving))
    off = error(found, expected)
    return f"they are off by {off:.2g} of their largest value, more than {allowed:.2g}" if off > allowed else ""
