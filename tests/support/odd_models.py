"""Models that ONNX Runtime's default session runs, though something about them is odd; each with inputs it runs on."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, parser

Arrays = Mapping[str, NDArray[np.generic]]

_HEAD = '<ir_version: 9, opset_import: ["" : 19]>\n'
_EIGHTS = np.ones(33, np.int64)
"""More integers than are kept in a model's file by default."""


@dataclass(frozen=True)
class OddModel:
    """A model as text, with large constants beside it, and inputs."""

    text: str
    feeds: Arrays
    constants: Arrays | None = None

    def build(self) -> onnx.ModelProto:
        """The model."""
        model = parser.parse_model(_HEAD + self.text)
        model.opset_import.extend(helper.make_opsetid(function.domain, 1) for function in model.functions)
        model.graph.initializer.extend(
            numpy_helper.from_array(value, name) for name, value in (self.constants or {}).items()
        )
        return model


def _floats(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


_PARTS = ", ".join(f"x{part}" for part in range(33))
_SPLIT = {"x": _floats(33, 4)}
_ALL_33 = "{" + ", ".join("1" for _ in range(33)) + "}"

ODD_MODELS = {
    "the sizes of a Split in an initializer": OddModel(
        f"g (float[33, 4] x) => (float[1, 4] y) {{ {_PARTS} = Split <axis = 0> (x, sizes)\n y = Add(x0, x32) }}",
        _SPLIT,
        {"sizes": _EIGHTS},
    ),
    "the sizes of a Split in a Constant": OddModel(
        f"""g (float[33, 4] x) => (float[1, 4] y) {{
            sizes = Constant <value = int64[33] {_ALL_33}> ()
            {_PARTS} = Split <axis = 0> (x, sizes)
            y = Add(x0, x32)
        }}""",
        _SPLIT,
    ),
    "the sizes of a Split inside an If": OddModel(
        f"""g (float[33, 4] x, bool c) => (float[1, 4] y) {{
            y = If (c) <
                then_branch = then () => (float[1, 4] a) {{
                    {_PARTS} = Split <axis = 0> (x, sizes)
                    a = Add(x0, x32)
                }},
                else_branch = other () => (float[1, 4] b) {{ b = ReduceSum <keepdims = 1> (x, zero) }}
            >
        }}""",
        {**_SPLIT, "c": np.array(True)},
        {"sizes": _EIGHTS, "zero": np.array([0])},
    ),
    "the sizes of a SplitToSequence": OddModel(
        """g (float[33, 4] x, int64 k) => (float[1, 4] y) {
            parts = SplitToSequence <axis = 0> (x, sizes)
            part = SequenceAt(parts, k)
            y = Relu(part)
        }""",
        {**_SPLIT, "k": np.array(32)},
        {"sizes": _EIGHTS},
    ),
    "the sizes of a Split in a function": OddModel(
        f"""g (float[33, 4] x) => (float[1, 4] y) {{ y = local.ends(x) }}
        <domain: "local", opset_import: ["" : 19]>
        ends (x) => (y) {{
            sizes = Constant <value = int64[33] {_ALL_33}> ()
            {_PARTS} = Split <axis = 0> (x, sizes)
            y = Add(x0, x32)
        }}""",
        _SPLIT,
    ),
    "a sequence between nodes": OddModel(
        """g (float[t, 4] x, int64 k) => (float[1, 4] y) {
            before = Tanh(x)
            frames = SplitToSequence <axis = 0> (before)
            frame = SequenceAt(frames, k)
            y = Relu(frame)
        }""",
        {"x": _floats(3, 4), "k": np.array(1)},
    ),
    "a Loop that appends to a sequence": OddModel(
        """g (float[1, 4] x, int64 n) => (float[m, 4] y) {
            none = SequenceEmpty()
            yes = Constant <value = bool {1}> ()
            last, all = Loop (n, yes, x, none) <
                body = one (int64 i, bool go, float[1, 4] s, seq(float[1, 4]) out)
                    => (bool on, float[1, 4] after, seq(float[1, 4]) longer) {
                    on = Identity(go)
                    after = Tanh(s)
                    longer = SequenceInsert(out, after)
                }
            >
            y = ConcatFromSequence <axis = 0> (all)
        }""",
        {"x": _floats(1, 4), "n": np.array(3)},
    ),
    "an optional between nodes": OddModel(
        """g (float[t, 4] x) => (float[t, 4] y) {
            maybe = Optional(x)
            value = OptionalGetElement(maybe)
            y = Relu(value)
        }""",
        {"x": _floats(3, 4)},
    ),
    "a float of 8 bits between nodes": OddModel(
        """g (float[t, 4] x) => (float[t, 4] y) {
            small = Cast <to = 17> (x)
            large = Cast <to = 1> (small)
            y = Relu(large)
        }""",
        {"x": _floats(3, 4)},
    ),
    "an output of another rank than declared": OddModel(
        "g (float[t, 8] x) => (float[t] y) { z = Tanh(x)\n y = Reshape(z, shape) }",
        {"x": _floats(3, 8)},
        {"shape": np.array([-1, 2, 4])},
    ),
    "an output of another size than declared": OddModel(
        "g (float[t, 8] x) => (float[7, 7] y) { z = Tanh(x)\n y = Reshape(z, shape) }",
        {"x": _floats(3, 8)},
        {"shape": np.array([-1, 4])},
    ),
    "a value inside of another shape than declared": OddModel(
        "g (float[t, 8] x) => (float[n, 4] y) <float[t, 9, 9] z> { z = Tanh(x)\n y = Reshape(z, shape) }",
        {"x": _floats(3, 8)},
        {"shape": np.array([-1, 4])},
    ),
    "zeros are divided by": OddModel(
        "g (int64[t] x, int64[t] by) => (int64[t] y) { z = Div(x, by)\n y = Neg(z) }",
        {"x": np.array([9, 8]), "by": np.array([3, 4])},
    ),
    "zeros and ones are out of range": OddModel(
        "g (float[3, 4] x, int64[1] at) => (float[1, 4] y) { k = Add(at, five)\n z = Gather(x, k)\n y = Relu(z) }",
        {"x": _floats(3, 4), "at": np.array([-4])},
        {"five": np.array([5])},
    ),
}


def with_defaults() -> onnx.ModelProto:
    """An LSTM whose first states are inputs with a default."""
    random = np.random.default_rng(0)

    def weight(name: str, *shape: int) -> TensorProto:
        return numpy_helper.from_array((random.standard_normal(shape) * 0.3).astype(np.float32), name)

    info = helper.make_tensor_value_info
    states = [info(name, TensorProto.FLOAT, [1, 1, 8]) for name in ("h0", "c0")]
    graph = helper.make_graph(
        [helper.make_node("LSTM", ["x", "W", "R", "", "", "h0", "c0"], ["", "h", "c"], hidden_size=8)],
        "g",
        [info("x", TensorProto.FLOAT, ["t", 1, 4]), *states],
        [info(name, TensorProto.FLOAT, [1, 1, 8]) for name in ("h", "c")],
        [weight("W", 1, 32, 4), weight("R", 1, 32, 8), weight("h0", 1, 1, 8), weight("c0", 1, 1, 8)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
