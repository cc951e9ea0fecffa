"""Which tasks are worth all lanes of a device: the offers that a list scheduler should see, and those it should not.

A list scheduler gives a task the place where it ends first. All lanes at once end a task soonest even where its
siblings would have kept the other lanes busy: two of 500 µs end after 500 µs side by side, and after 600 µs one after
the other at 300 µs each. So several schedules are made, each with some offers withheld, and the best is taken.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate, cycle, islice, pairwise
from math import inf
from operator import attrgetter

from chrion_planner.partition.cost_tables import Offers
from chrion_planner.partition.problem import Place, Problem, Schedule

ROUNDS = 4
"""Schedules made after the two with no offer and with all, each with the offers that look worth taking in the last."""

PASSES = 4
"""Times that each offer is tried the other way round, at most."""

WORK = 5_000
"""Places looked at while offers are tried, from each start: it bounds the effort without asking a clock."""


ListScheduler = Callable[[Offers, float], Schedule | None]
"""Schedules a problem at the places on offer; None where it cannot, and where it is certain to take the seconds given
or more."""


def molded(problem: Problem, list_schedule: ListScheduler) -> Schedule | None:
    """The best of the schedules that `list_schedule` makes of the problem with no wide time, with all, and with some.

    Which ones: those that fill idle lanes of the schedule before, and what hill climbing finds from there. Ties go to
    the first. None where it makes none.
    """
    if not any(place.wide for place in problem.times):
        return list_schedule(problem.times, inf)
    wide: Offers = {}
    schedule = list_schedule(_offers(problem, wide), inf)
    schedules = [schedule, list_schedule(problem.times, inf)]
    for _ in range(ROUNDS):
        if schedule is None or wide == (wide := worthwhile(problem, schedule)):
            break
        schedule = list_schedule(_offers(problem, wide), inf)
        schedules.append(schedule)
    found = [one for one in schedules if one is not None]
    if not found:
        return None
    starts = dict.fromkeys((found[0], min(found, key=attrgetter("makespan"))))
    return min((_climbed(problem, start, list_schedule) for start in starts), key=attrgetter("makespan"))


def _offers(problem: Problem, wide: Offers) -> Offers:
    """Every lane, and of what is wide that which is offered to any task."""
    narrow = {place: times for place, times in problem.times.items() if not place.wide}
    return {**narrow, **{place: times for place, times in wide.items() if min(times) < inf}}


def _climbed(problem: Problem, best: Schedule, list_schedule: ListScheduler) -> Schedule:
    """The end of hill climbing from what is wide in a schedule: one offer more or less, the longest tasks first."""
    wide = {
        place: [seconds if here == place else inf for here, seconds in zip(best.places, times, strict=True)]
        for place, times in problem.times.items()
        if place.wide
    }
    toggles = [(place, task) for place in wide for task, seconds in enumerate(problem.times[place]) if seconds < inf]
    toggles.sort(key=lambda toggle: (-problem.seconds[problem.device_at(toggle[0])][toggle[1]], toggle))
    trials = min(PASSES * len(toggles), WORK // (len(problem.tasks) * len(problem.times)))
    failed = 0
    for place, task in islice(cycle(toggles), trials):
        if failed == len(toggles):
            break
        before = wide[place][task]
        wide[place][task] = problem.times[place][task] if before == inf else inf
        schedule = list_schedule(_offers(problem, wide), best.makespan)
        failed += 1
        if schedule is not None and schedule.makespan < best.makespan:
            best, failed = schedule, 0
        else:
            wide[place][task] = before
    return best


def worthwhile(problem: Problem, schedule: Schedule) -> Offers:
    """The wide times of those tasks that would take less of the lanes than idle beside them as they are scheduled.

    What is wide already, or on another device, keeps its offer.
    """
    offers: dict[Place, tuple[float, ...]] = {}
    for place, times in problem.times.items():
        if place.wide:
            lanes = problem.lanes_at(place)
            idle = _idle_seconds(problem, schedule, lanes)
            offers[place] = tuple(
                seconds if len(lanes) * seconds < schedule.finish[task] - schedule.start[task] + idle[task] else inf
                for task, seconds in enumerate(times)
            )
    return offers


def _idle_seconds(problem: Problem, schedule: Schedule, lanes: Sequence[int]) -> list[float]:
    """For each task of one of the lanes how long the others idle while it runs, in all; inf for every other task."""
    changes = []
    for place, start, finish in zip(schedule.places, schedule.start, schedule.finish, strict=True):
        if place.lane in lanes:
            held = len(problem.lanes_at(place))
            changes += [(start, -held), (finish, held)]
    changes.sort()
    times = [time for time, _ in changes]
    free = list(accumulate((change for _, change in changes), initial=len(lanes)))[1:]
    gaps = (count * (after - before) for count, (before, after) in zip(free, pairwise(times), strict=False))
    idle = list(accumulate(gaps, initial=0.0))

    def until(time: float) -> float:
        return idle[bisect_right(times, time) - 1]  # every start and finish is one of the times

    return [
        until(finish) - until(start) if place.lane in lanes and not place.wide else inf
        for place, start, finish in zip(schedule.places, schedule.start, schedule.finish, strict=True)
    ]
