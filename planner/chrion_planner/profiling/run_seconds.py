"""Time runs of a plan by the runtime's own executor.

Runs inside a worker process.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from chrion_api import Plan, Stage
from chrion_graph.graph import Graph
from chrion_planner.stopwatch import median_seconds
from chrion_runtime.devices import Device
from chrion_runtime.run.compiled_plan import compile_plan
from chrion_runtime.run.executor import Executor
from chrion_runtime.run.kernels import KernelStore
from chrion_runtime.run.lanes import Lanes
from chrion_runtime.run.loaded_plan import LoadedPlan


def run_seconds(
    graph: Graph,
    stages: Sequence[Stage],
    feeds: Mapping[str, NDArray[Any]],
    devices: Mapping[str, Device],
    about_seconds: float,
) -> float:
    """Median seconds of a run of the graph as these stages, of runs that take `about_seconds` together."""
    plan = Plan(name="probe", graph=graph.digest, stages=tuple(stages), predicted_seconds=0)
    pool = Lanes()
    try:
        executor = Executor(LoadedPlan(compile_plan(graph, plan), devices, KernelStore()), pool, slots=1)
        executor.warm(feeds)
        return median_seconds(lambda: executor.run(feeds), about_seconds)
    finally:
        pool.close()
