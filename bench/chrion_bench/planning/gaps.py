"""One small instance: what our planner reaches, what others do, and what can be proved.

`python -m chrion_bench.planning.gaps NAME SECONDS SOLVER…` prints it for an instance by name.
"""

import json
import sys
import time
from dataclasses import replace
from typing import Any

from chrion_bench.planning.contenders import judged, saga
from chrion_bench.planning.instances import Instance, instances
from chrion_oracles.from_scratch import from_scratch
from chrion_oracles.optimum import available, optimum
from chrion_oracles.rules import validate_schedule, validate_stages
from chrion_planner.partition import IMPROVER, STARTS, Budget, Problem, Schedule, best_stages, each_device, lower_bound
from chrion_planner.partition.milp import MILP

CP_SAT = "cp-sat"

PLANNER = Budget()
"""What the planner spends on a problem."""


def gaps(instance: Instance, seconds: float, solvers: tuple[str, ...]) -> dict[str, Any]:
    """The instance's results as JSON data, times in seconds.

    `schedules` are makespans without stages, which is the problem that the solvers prove; `stages` those that the
    simulator gives, hops included, `single` those of the best single device.
    """
    problem = instance.problem
    began = time.perf_counter()
    ours = best_stages(problem, PLANNER)
    planning = time.perf_counter() - began
    began = time.perf_counter()
    searched = from_scratch(IMPROVER, problem, PLANNER)
    searching = time.perf_counter() - began
    assert ours is not None
    assert searched is not None
    validate_stages(problem, ours.simulation.stages, ours.simulation.makespan)
    validate_schedule(problem, searched)
    others = {start.name: start.schedule(problem) for start in STARTS}
    lists: dict[str, Schedule] = {name: one for name, one in others.items() if one is not None} | dict(saga(problem))
    alone = min(judged(problem, one) for one in each_device(problem).values())
    return {
        "name": instance.name,
        "kind": instance.kind,
        "machine": instance.machine,
        "tasks": len(problem.tasks),
        "bound": lower_bound(problem),
        "planningSeconds": planning,
        "searchSeconds": searching,
        "schedules": {"search": searched.makespan, **{name: one.makespan for name, one in lists.items()}},
        "stages": {
            "ours": ours.simulation.makespan,
            **{name: judged(problem, one) for name, one in lists.items()},
            "single": alone,
        },
        "winner": ours.name,
        "solvers": {name: _proved(problem, name, seconds) for name in solvers},
    }


def usable() -> tuple[str, ...]:
    """The exact solvers that are installed."""
    return (CP_SAT, "highs") if available() else ("highs",)


def _proved(problem: Problem, name: str, seconds: float) -> dict[str, Any]:
    budget = replace(PLANNER, seconds=seconds, solver_nodes=10**9, tasks=len(problem.tasks), pairs=10**6)
    began = time.perf_counter()
    schedule = from_scratch(IMPROVER if name == CP_SAT else MILP, problem, budget)
    if name == CP_SAT and schedule is not None:
        schedule = optimum(problem, schedule, 1e9, seconds)
    assert schedule is not None
    validate_schedule(problem, schedule)
    return {
        "makespan": schedule.makespan,
        "bound": schedule.makespan if schedule.optimal else max(schedule.bound, lower_bound(problem)),
        "optimal": schedule.optimal,
        "seconds": time.perf_counter() - began,
    }


if __name__ == "__main__":
    wanted, limit, *exact = sys.argv[1:]
    chosen = next(instance for instance in instances() if instance.name == wanted)
    print(json.dumps(gaps(chosen, float(limit), tuple(exact))))
