"""Which inputs decide by their values how much a run does."""

import onnx
import pytest

from chrion_graph.deciding import deciding_inputs
from tests.support.control_flow import MODELS

HEAD = '<ir_version: 8, opset_import: ["" : 17]>'
LOOP = """Loop ({trips}, {go}, x) <
            body = round (int64 i, bool c, float[N] s) => (bool c2, float[N] s2) {{
              {decision}
              s2 = Tanh (s)
            }}
          >"""


def found(text):
    return deciding_inputs(onnx.parser.parse_model(HEAD + text).graph)


def loop(inputs, trips, go, decision, before=""):
    return f"m ({inputs}) => (float[N] y) {{ {before} y = {LOOP.format(trips=trips, go=go, decision=decision)} }}"


GO_ON = "c2 = Identity (c)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("m (float[N] x) => (float[N] y) { y = Tanh (x) }", set()),
        ("m (int64[1] n) => (float y) { z = ConstantOfShape (n)  y = ReduceSum <keepdims = 0> (z) }", {"n"}),
        ("m (int64 n, float[N] x) => (int64[M] y) { a = Constant <value_int = 0> () b = Constant <value_int = 1> () "
         "y = Range (a, n, b) }", {"n"}),
        # Through arithmetic, and through the shape of something that a value has sized.
        ("m (int64[1] n) => (int64[1] y) { two = Add (n, n)  z = ConstantOfShape (two)  s = Shape (z) "
         "w = ConstantOfShape (s)  y = Shape (w) }", {"n"}),
        # A shape that follows a shape is not a value.
        ("m (float[N] x) => (float[N] y) { s = Shape (x)  y = ConstantOfShape (s) }", set()),
        ("m (float[N] x, float[M] v) => (float[N] y) { s = Shape (v)  y = Expand (x, s) }", set()),
        ("m (float[N] x, int64[1] s) => (float[M] y) { y = Expand (x, s) }", {"s"}),
        ("m (bool b, float[N] x) => (float[N] y) { y = If (b) < then_branch = t () => (float[N] a) { a = Relu (x) }, "
         "else_branch = e () => (float[N] a) { a = Exp (x) } > }", {"b"}),
        (loop("int64 n, float[N] x", "n", "", GO_ON), {"n"}),
        (loop("float[N] x", "three", "", GO_ON, "three = Constant <value_int = 3> ()"), set()),
        (loop("bool go, float[N] x", "", "go", GO_ON), {"go"}),
        # A loop that goes on until its own values say otherwise.
        (loop("float[N] x", "many", "", "m = ReduceMax <keepdims = 0> (s) h = Constant <value_float = 0.5> () "
              "c2 = Greater (m, h)", "many = Constant <value_int = 1000000> ()"), {"x"}),
        # What a body captures decides as well.
        ("m (int64[1] n, int64 t, float[N] x) => (float[N] y) { y = Loop (t, , x) < body = r (int64 i, bool c, "
         "float[N] s) => (bool c2, float[N] s2) { c2 = Identity (c)  z = ConstantOfShape (n) "
         "q = ReduceSum <keepdims = 0> (z)  s2 = Add (s, q) } > }", {"n", "t"}),
    ],
)  # fmt: skip
def test_the_inputs_that_decide(text, expected):
    assert found(text) == expected


def test_models_with_control_flow():
    decided = {name: set(deciding_inputs(model.build().graph)) for name, model in MODELS.items()}
    assert decided["if"] == {"condition"}
    assert decided["loop"] == {"trips", "go"}
    assert decided["scan"] == set(), "a Scan is as long as what it scans"
