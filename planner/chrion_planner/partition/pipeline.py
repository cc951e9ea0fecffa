"""From a problem to the best stages found: coarsen, schedule from several starts, group, let the simulator judge."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from chrion_planner.partition.algorithms import IMPROVER, PROVER, starts
from chrion_planner.partition.bound import lower_bound
from chrion_planner.partition.coarsen import Coarse, coarsen
from chrion_planner.partition.problem import Budget, Problem, Schedule
from chrion_planner.partition.search import NEAR
from chrion_planner.partition.simulate import Simulation, simulate
from chrion_planner.partition.stages import first_stages, improve

FINE = 100
"""Tasks up to which the problem is solved as it is."""

LOOKS = 200
"""Times that all stages must be able to be timed within the budget for changes to them to be tried."""


@dataclass(frozen=True)
class Partition:
    """Stages, by the name of the algorithm that they come from."""

    name: str
    simulation: Simulation
    bound: float
    """Seconds that a solver proved any stages of the problem to take; 0 where none did."""
    truncated: bool
    """True when the clock stopped an algorithm, so that another run may find other stages."""


def best_stages(problem: Problem, budget: Budget) -> Partition | None:
    """The stages that the simulator says end first, never worse than those of any start; None where there is none."""
    return next(partitions(problem, budget), None)


def partitions(problem: Problem, budget: Budget) -> Iterator[Partition]:
    """The stages that each start, the prover and the improver lead to, those that end first first.

    `budget.stage_work` goes to the most promising ones; what is left over when it is used up is not looked at.
    """
    small = grain(problem)
    made = list(schedules(small.problem, budget))
    truncated = any(schedule.truncated for _, schedule in made)
    bound = max((schedule.bound for _, schedule in made), default=0.0) if small.problem is problem else 0.0
    worth = made if IMPROVER.takes(small.problem) else _best_of_large(made)
    begun = [(name, first_stages(small.problem, schedule)) for name, schedule in worth]
    grouped: dict[object, tuple[str, Simulation]] = {}
    work = budget.stage_work
    for name, simulation in sorted(begun, key=lambda one: one[1].makespan):
        if work <= LOOKS * len(simulation.stages):
            grouped.setdefault(simulation.stages, (name, simulation))
            continue
        better, spent = improve(small.problem, simulation, work)
        work -= spent
        grouped.setdefault(better.stages, (name, better))
    for name, simulation in sorted(grouped.values(), key=lambda one: one[1].makespan):
        yield Partition(name, simulate(problem, small.expand(simulation.stages)), bound, truncated)


def _best_of_large(made: Sequence[tuple[str, Schedule]]) -> list[tuple[str, Schedule]]:
    """Of a problem too large to be improved, the schedule that ends first, and the single devices.

    To group the others into stages takes as long as to find them, and they differ by little.
    """
    alone = [(name, schedule) for name, schedule in made if len(set(schedule.places)) == 1]
    others = [one for one in made if one not in alone]
    return [*sorted(others, key=lambda one: one[1].makespan)[:1], *alone]


def grain(problem: Problem) -> Coarse:
    """The problem coarsened, or as it is where it is small."""
    if len(problem.tasks) <= FINE:
        return Coarse(problem, tuple((task,) for task in range(len(problem.tasks))))
    return coarsen(problem, cheap_seconds=max(problem.handoff.values(), default=0.0))


def schedules(problem: Problem, budget: Budget) -> Iterator[tuple[str, Schedule]]:
    """Every start, and what the prover and the improver make of them, by name.

    None of these knows that lanes slow each other. Where they do, half of the search goes to the problem that has one
    lane of each such device: the simulator then judges both.
    """
    if not problem.contended:
        yield from _schedules(problem, budget)
        return
    half = replace(budget, search_work=budget.search_work // 2)
    seen = set()
    for name, schedule in _schedules(problem, half):
        seen.add((schedule.places, schedule.start))
        yield name, schedule
    fewer, lanes = _with_one_lane(problem)
    for name, schedule in _schedules(fewer, half):
        same = replace(schedule, lane=tuple(lanes[at] for at in schedule.lane), optimal=False, bound=0.0)
        if (same.places, same.start) not in seen:
            yield f"{name}-one-lane", same


def _with_one_lane(problem: Problem) -> tuple[Problem, list[int]]:
    """The problem with one lane of each device whose lanes slow each other, and the numbers that its lanes had."""
    kept = [
        index
        for index, lane in enumerate(problem.lanes)
        if lane.device not in problem.contended or index == problem.lanes_of(lane.device)[0]
    ]
    return replace(problem, lanes=tuple(problem.lanes[index] for index in kept)), kept


def _schedules(problem: Problem, budget: Budget) -> Iterator[tuple[str, Schedule]]:
    """Of one problem: every start, and what the prover and the improver make of them.

    What a hop costs is known only once there are stages. So one half of the search counts none, as if all that
    follows on a lane were one stage, and the other a hop for each task: its times are those of the problem with hops.
    """
    first = starts(problem)
    yield from first.items()
    if not first or not IMPROVER.takes(problem):
        return
    half = replace(budget, search_work=budget.search_work // 2)
    yield from _better(problem, half, list(first.values()))
    if any(problem.hop.values()):
        hops = with_hops(problem)
        for name, schedule in _better(hops, half, list(starts(hops).values())):
            # What is proved of it holds where every task is a stage, and nowhere else.
            yield f"{name}-hops", replace(schedule, optimal=False, bound=0.0)


def _better(problem: Problem, budget: Budget, first: Sequence[Schedule]) -> Iterator[tuple[str, Schedule]]:
    """What the prover makes of the best of the schedules, and, unless that is optimal, the improver of all of them.

    Proving comes first: what is small is proved in less time than a single run of the improver takes.
    """
    best = min(first, key=lambda one: one.makespan)
    if best.makespan <= lower_bound(problem) * (1 + NEAR):
        return
    exact = PROVER.schedule(problem, budget, best)
    if exact is not None and exact is not best:
        yield "exact", exact
    if exact is None or not exact.optimal:
        known = list(first) if exact is None else [*first, exact]
        searched = IMPROVER.schedule(problem, budget, known)
        if searched is not None and not any(searched.start == one.start for one in known):
            yield IMPROVER.name, searched


def with_hops(problem: Problem) -> Problem:
    """The problem in which each task is a stage: its hop is part of its time."""

    def more(seconds: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
        return {
            device: [each + problem.hop[device] for each in times] if device in problem.devices else list(times)
            for device, times in seconds.items()
        }

    return replace(problem, seconds=more(problem.seconds), wide=more(problem.wide), hop=dict.fromkeys(problem.hop, 0.0))
