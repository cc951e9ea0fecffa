"""Reset after: a GRU whose reset gate multiplies the state becomes one whose reset gate multiplies the product with it.

They are ONNX's `linear_before_reset` 0 and 1; cuDNN has only the second. With r the reset gate, H the state, R and b
the hidden gate's recurrence, (r * H) R + b and r * (H R + b) are the same where b is zero, which adding it to the
input's bias makes it, and where R mixes no units (it is diagonal, as with one unit), or where H is zero: in the only
step of a layer that begins with nothing.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, helper

from chrion_graph.attributes import integer
from chrion_graph.errors import RewriteError
from chrion_graph.graph import Graph
from chrion_graph.recurrent import INITIAL_H, B, R, X, optional_input
from chrion_graph.rewrite.support.constants import Constants
from chrion_graph.rewrite.support.reading import Reading
from chrion_graph.rewrite.support.rebuild import rebuilt

NAME = "reset-after"
PLACE, SUPERSEDES, APART = 30, True, False
"""One node takes the place of one, before layers are cut up."""


def candidates(graph: Graph) -> tuple[int, ...]:
    """The nodes that can be replaced exactly."""
    reading = Reading(graph)
    return tuple(index for index, node in enumerate(graph.nodes) if _is_same(reading, node))


def propose(graph: Graph, nodes: Collection[int]) -> Iterator[Mapping[str, Any]]:
    """Those of the nodes that can be replaced, as `{"nodes": [indices]}`."""
    chosen = [index for index in candidates(graph) if index in nodes]
    if chosen:
        yield {"nodes": chosen}


def apply(graph: Graph, parameters: Mapping[str, Any]) -> Graph:
    """Replace the named nodes. Raises RewriteError where one of them cannot be."""
    chosen, possible, reading = parameters.get("nodes"), candidates(graph), Reading(graph)
    if not isinstance(chosen, list) or not chosen or not all(index in possible for index in chosen):
        raise RewriteError(f"{NAME}: nodes {chosen} are not GRU nodes of this graph that can be replaced exactly")
    constants, nodes = Constants(graph.folder), list(graph.nodes)
    for index in chosen:
        nodes[index] = _replaced(reading, graph.nodes[index], constants)
    constants.save()
    return rebuilt(graph, nodes, constants.tensors)


def _is_same(reading: Reading, node: NodeProto) -> bool:
    if node.op_type != "GRU" or node.domain not in ("", "ai.onnx") or integer(node, "linear_before_reset", 0):
        return False
    recurrence, bias = optional_input(node, R), optional_input(node, B)
    if recurrence not in reading.constants or (bias and bias not in reading.constants):
        return False
    if any(entry.name == "clip" for entry in node.attribute):
        return False
    return _is_diagonal(_of_hidden_gate(reading.array(recurrence))) or _is_one_step_from_nothing(reading, node)


def _is_one_step_from_nothing(reading: Reading, node: NodeProto) -> bool:
    shape, state = reading.shape(optional_input(node, X)), optional_input(node, INITIAL_H)
    one = shape is not None and len(shape) == 3 and shape[0] == 1 and not integer(node, "layout", 0)
    return one and (not state or reading.is_zero(state))


def _of_hidden_gate(recurrence: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The last of three gates (z, r, h) of R, [directions, hidden, hidden]."""
    return recurrence[:, recurrence.shape[1] // 3 * 2 :]


def _is_diagonal(matrices: npt.NDArray[Any]) -> bool:
    return all(np.array_equal(matrix, np.diag(np.diagonal(matrix))) for matrix in matrices)


def _replaced(reading: Reading, node: NodeProto, constants: Constants) -> NodeProto:
    found = NodeProto()
    found.CopyFrom(node)
    kept = [entry for entry in node.attribute if entry.name != "linear_before_reset"]
    del found.attribute[:]
    found.attribute.extend([*kept, helper.make_attribute("linear_before_reset", 1)])
    bias = optional_input(node, B)
    if bias:
        # [directions, 6 * hidden]: z, r and h of the input, then those of the state.
        values = reading.array(bias).copy()
        hidden = values.shape[1] // 6
        values[:, 2 * hidden : 3 * hidden] += values[:, 5 * hidden :]
        values[:, 5 * hidden :] = 0
        found.input[B] = constants.add(f"{node.output[0] or node.output[1]}/{NAME}/B", values)
    return found
