"""Partitioning: from tasks with costs to stages on lanes.

One algorithm a file, all of one signature, all in ALGORITHMS; `validate` holds the one check that every schedule and
every set of stages passes. Nothing here knows of ONNX.
"""

from chrion_planner.partition.bound import lower_bound
from chrion_planner.partition.coarsen import Coarse, coarsen
from chrion_planner.partition.cpop import cpop
from chrion_planner.partition.exact import exact
from chrion_planner.partition.heft import heft
from chrion_planner.partition.milp import milp
from chrion_planner.partition.peft import peft
from chrion_planner.partition.pipeline import Found, best_stages, partitions
from chrion_planner.partition.problem import HOST, Algorithm, Budget, Lane, Link, Place, Problem, Schedule, StagePlan
from chrion_planner.partition.search import search
from chrion_planner.partition.simulate import Simulation, simulate
from chrion_planner.partition.single import each_device, most_on, on_device, single
from chrion_planner.partition.stages import first_stages, group
from chrion_planner.partition.validate import validate_schedule, validate_stages

ALGORITHMS: dict[str, Algorithm] = {
    "single": single,
    "heft": heft,
    "cpop": cpop,
    "peft": peft,
    "search": search,
    "milp": milp,
    "exact": exact,
}
"""Every algorithm by name. `single` is the best single device; `each_device` gives them all."""

__all__ = [
    "ALGORITHMS",
    "HOST",
    "Algorithm",
    "Budget",
    "Coarse",
    "Found",
    "Lane",
    "Link",
    "Place",
    "Problem",
    "Schedule",
    "Simulation",
    "StagePlan",
    "best_stages",
    "coarsen",
    "cpop",
    "each_device",
    "exact",
    "first_stages",
    "group",
    "heft",
    "lower_bound",
    "milp",
    "most_on",
    "on_device",
    "partitions",
    "peft",
    "search",
    "simulate",
    "single",
    "validate_schedule",
    "validate_stages",
]
