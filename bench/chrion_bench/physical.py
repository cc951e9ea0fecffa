"""The physical limit of a model: what no program on this machine can beat that does the model's arithmetic in float32.

Every node takes at least its floating-point operations over what all cores do of them. A recurrent layer also reads its
recurrent weights again at every step, for a step needs the result of the one before: shared evenly, each core reads its
part at best at the speed of the cache that holds so much. It is a lower bound and no prediction: it leaves out
activations, the exchange between cores after each step, and the reading of all other weights and values.
"""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray
from onnx import numpy_helper

from chrion_bench.modelled import operations, size
from chrion_graph.bodies import bodies
from chrion_graph.graph import Graph, Shapes
from chrion_graph.recurrent import SEQUENCE_LENS, R, X, is_recurrent, optional_input

_FLOAT = 4

Arrays = Mapping[str, NDArray[Any]]

Speeds = Mapping[str, Any]
"""What `speeds.measured` says of a machine."""


def physical_seconds(graph: Graph, shapes: Shapes, feeds: Arrays, speeds: Speeds, cores: int) -> float | None:
    """The limit for a run with these inputs on so many cores; None where the machine's speeds are not known, or nodes
    lie within others (If, Loop), whose shapes are not."""
    if "absent" in speeds or any(True for node in graph.nodes for _ in bodies(node)):
        return None
    return sum(_node_seconds(graph, index, shapes, feeds, speeds, cores) for index in range(len(graph.nodes)))


def read_rate(speeds: Speeds, nbytes: float, cores: int) -> float:
    """Bytes a second at which each of all cores reads over so many of its own: no less than any that was measured for
    more bytes, and for the next size below."""
    sizes = sorted(speeds["reads"], key=lambda entry: entry["bytes"])
    below = sum(entry["bytes"] <= nbytes for entry in sizes)
    return max(float(entry["bytesPerSecond"]["allCores"]) for entry in sizes[max(0, below - 1) :]) / cores


def _node_seconds(graph: Graph, index: int, shapes: Shapes, feeds: Arrays, speeds: Speeds, cores: int) -> float:
    computing = operations(graph, index, shapes) / float(speeds["flopsPerSecond"]["allCores"])
    node = graph.nodes[index]
    if not is_recurrent(node):
        return computing
    steps = size(graph, shapes, node.input[X])[0]
    longest, mean = _lengths(graph, optional_input(node, SEQUENCE_LENS), feeds) or (steps, steps)
    directions, rows, hidden = size(graph, shapes, node.input[R])
    part = rows * hidden * _FLOAT / cores
    reading = longest * directions * part / read_rate(speeds, part, cores)
    return max(computing * mean / max(1, steps), reading)


def _lengths(graph: Graph, name: str, feeds: Arrays) -> tuple[float, float] | None:
    """Steps of the longest row and of all in the mean; None where all rows have all steps. A layer whose lengths the
    model works out itself counts as nothing."""
    if not name:
        return None
    found = numpy_helper.to_array(graph.constants[name]) if name in graph.constants else feeds.get(name)
    return (0.0, 0.0) if found is None or not found.size else (float(found.max()), float(found.mean()))
