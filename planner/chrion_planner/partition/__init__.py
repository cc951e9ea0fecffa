"""Partitioning: from tasks with costs to stages on lanes.

One algorithm a file, all of them in the table `algorithms.py`. Nothing here knows of ONNX.
"""

from chrion_api import HOST
from chrion_planner.partition.algorithms import ALGORITHMS, IMPROVER, STARTS, starts
from chrion_planner.partition.bound import lower_bound
from chrion_planner.partition.coarsen import Coarse, coarsen
from chrion_planner.partition.pipeline import Partition, best_stages, partitions
from chrion_planner.partition.problem import Budget, Lane, Link, Place, Problem, Schedule, StagePlan
from chrion_planner.partition.simulate import Simulation, simulate
from chrion_planner.partition.single import each_device, most_on
from chrion_planner.partition.stages import first_stages

__all__ = [
    "ALGORITHMS",
    "HOST",
    "IMPROVER",
    "STARTS",
    "Budget",
    "Coarse",
    "Lane",
    "Link",
    "Partition",
    "Place",
    "Problem",
    "Schedule",
    "Simulation",
    "StagePlan",
    "best_stages",
    "coarsen",
    "each_device",
    "first_stages",
    "lower_bound",
    "most_on",
    "partitions",
    "simulate",
    "starts",
]
