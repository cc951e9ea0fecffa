"""A model whose work its input decides: a Loop that goes round as often as the request says; with state."""

import onnx
from onnx import TensorProto, helper

from chrion_api import StateLink

FOR_EVER = 2**62
value = helper.make_tensor_value_info


def rounds() -> onnx.ModelProto:
    """`last` is x after so many times of Tanh, and `next` is one more than `count`."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Tanh", ["s"], ["s2"])],
        "round",
        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("s", TensorProto.FLOAT, ["n"])],
        [value("go_on", TensorProto.BOOL, []), value("s2", TensorProto.FLOAT, ["n"])],
    )
    graph = helper.make_graph(
        [
            helper.make_node("Loop", ["steps", "", "x"], ["last"], body=body),
            helper.make_node("Add", ["count", "one"], ["next"]),
        ],
        "rounds",
        [
            value("steps", TensorProto.INT64, []),
            value("x", TensorProto.FLOAT, ["n"]),
            value("count", TensorProto.INT64, [1]),
        ],
        [value("last", TensorProto.FLOAT, ["n"]), value("next", TensorProto.INT64, [1])],
        [helper.make_tensor("one", TensorProto.INT64, [1], [1])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


BUCKET = {"steps": (), "x": (4,), "count": (1,)}
STATE = (StateLink(output="next", input="count"),)
