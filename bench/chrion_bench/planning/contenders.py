"""The list schedulers of `anrg-saga`, where its model can express an instance, and what the simulator makes of any."""

from collections.abc import Mapping
from itertools import combinations

from chrion_planner.partition import Place, Problem, Schedule, simulate
from chrion_planner.partition.stages import alone, cut
from chrion_planner.partition.task_times import timed

SAGA = {"saga-heft": "HeftScheduler", "saga-cpop": "CpopScheduler"}
"""The package's schedulers by their names here. It has no PEFT."""


def judged(problem: Problem, schedule: Schedule) -> float:
    """The makespan of the schedule's places and order, by our simulator: in its longest runs, or task by task."""
    return min(simulate(problem, stages).makespan for stages in (cut(problem, schedule), alone(schedule)))


def expressible(problem: Problem) -> bool:
    """Whether the package's model, speeds and bandwidths, can say what the tasks and edges cost: lanes of one kind."""
    return len(problem.devices) == 1 and not problem.wide


def saga(problem: Problem) -> Mapping[str, Schedule]:
    """The schedules of the package's algorithms; none where it is absent or cannot express the problem."""
    try:
        import saga as package
        from saga import schedulers
    except ImportError:
        return {}
    if not expressible(problem):
        return {}
    (device,) = problem.devices
    names = [lane.name for lane in problem.lanes]
    seconds = problem.seconds[device]
    # A hand-off costs the same whatever the bytes, so every edge has its seconds as size, and lanes a speed of 1.
    network = package.Network.create([(name, 1.0) for name in names], [(a, b, 1.0) for a, b in combinations(names, 2)])
    # It wants one task before all and one after all.
    ends = [("first", str(task), 0.0) for task in problem.tasks if not problem.producers[task]]
    ends += [(str(task), "last", 0.0) for task in problem.tasks if not problem.consumers[task]]
    graph = package.TaskGraph.create(
        [("first", 0.0), ("last", 0.0), *((str(task), seconds[task]) for task in problem.tasks)],
        [*ends, *((str(a), str(b), problem.handoff[device]) for a, b in problem.tasks.edges)],
    )
    found = {}
    for name, scheduler in SAGA.items():
        mapping = getattr(schedulers, scheduler)().schedule(network, graph).mapping
        start = {int(done.name): done.start for tasks in mapping.values() for done in tasks if done.name.isdigit()}
        lane = {
            int(done.name): names.index(at) for at, tasks in mapping.items() for done in tasks if done.name.isdigit()
        }
        order = sorted(problem.tasks, key=lambda task: (start[task], task))
        found[name] = timed(problem, order, [Place(lane[task]) for task in range(len(seconds))])
    return found
