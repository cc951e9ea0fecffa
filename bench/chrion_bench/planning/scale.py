"""Large problems, each planned in a process of its own: `python -m chrion_bench.planning.scale NAME`."""

import json
import random
import sys
import time
from collections.abc import Callable
from typing import Any

from chrion_bench.planning.instances import grid, layered
from chrion_bench.planning.process import peak_bytes
from chrion_oracles.rules import validate_stages
from chrion_planner.partition import Budget, Problem, best_stages, coarsen, lower_bound, simulate

SIZES: dict[str, Callable[[], Problem]] = {
    "grid-2-cpu-10k": lambda: grid(random.Random(0), "2-cpu", layers=10, steps=500),
    "grid-2-cpu-1-gpu-10k": lambda: grid(random.Random(0), "2-cpu-1-gpu", layers=10, steps=500),
    "layered-4-cpu-10k": lambda: layered(random.Random(0), "4-cpu", 10_000, width=40),
    "layered-2-cpu-1-gpu-10k": lambda: layered(random.Random(0), "2-cpu-1-gpu", 10_000, width=40),
    "grid-2-cpu-100k": lambda: grid(random.Random(0), "2-cpu", layers=20, steps=2_500),
    "grid-2-cpu-1-gpu-100k": lambda: grid(random.Random(0), "2-cpu-1-gpu", layers=20, steps=2_500),
    "layered-4-cpu-100k": lambda: layered(random.Random(0), "4-cpu", 100_000, width=100),
    "layered-2-cpu-1-gpu-100k": lambda: layered(random.Random(0), "2-cpu-1-gpu", 100_000, width=100),
}
"""Large problems by name."""

LIMITS = {"10k": (2.0, 1 << 30), "100k": (45.0, None)}
"""The aims: seconds, and bytes where there is one."""


def planned(name: str) -> dict[str, Any]:
    """Plans the problem here; seconds, the process's peak memory, and what the plan is worth."""
    problem = SIZES[name]()
    before = peak_bytes()
    began = time.perf_counter()
    small = coarsen(problem, cheap_seconds=max(problem.handoff.values()))
    coarsened = time.perf_counter() - began
    began = time.perf_counter()
    found = best_stages(problem, Budget())
    seconds = time.perf_counter() - began
    peak = peak_bytes()
    assert found is not None
    validate_stages(problem, found.simulation.stages, found.simulation.makespan)
    assert simulate(problem, found.simulation.stages) == found.simulation
    return {
        "name": name,
        "tasks": len(problem.tasks),
        "coarse": len(small.members),
        "coarsenSeconds": coarsened,
        "seconds": seconds,
        "peakBytes": peak,
        "problemBytes": before,
        "stages": len(found.simulation.stages),
        "makespan": found.simulation.makespan,
        "bound": lower_bound(problem),
        "winner": found.name,
    }


if __name__ == "__main__":
    print(json.dumps(planned(sys.argv[1])))
