"""Integer divisions that would end the process answer as numpy does, wherever they are; all others are as they were."""

import subprocess
import sys

import numpy as np
import onnx
import pytest

from chrion_graph.division import guard_divisions
from tests.support.partition import normalised, reference, saved, whole

NUMBERS = {"int32": np.int32, "int64": np.int64}


def model(text):
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]>{text}')


def divided(kind):
    """Div and Mod beside each other, in the graph and in the bodies of an If in a Loop."""
    return model(f"""divided ({kind}[N] a, {kind}[N] b, int64 trips) => ({kind}[N] q, {kind}[N] r, {kind}[N] inner) {{
      q = Div (a, b)
      r = Mod (a, b)
      inner = Loop (trips, , a) <
        body = round (int64 i, bool c, {kind}[N] s) => (bool c2, {kind}[N] s2) {{
          c2 = Identity (c)
          s2 = If (c) <
            then_branch = yes () => ({kind}[N] t) {{ t = Div (s, b) }},
            else_branch = no () => ({kind}[N] e) {{ e = Mod (s, b) }}
          >
        }}
      >
    }}""")


def feeds(kind):
    least, most = np.iinfo(kind).min, np.iinfo(kind).max
    a = np.array([least, least, least, most, most, 7, -7, 0, least + 1, 5], kind)
    b = np.array([-1, 1, least, -1, least, -2, 2, -1, -1, 3], kind)
    return {"a": a, "b": b, "trips": np.array(1)}


@pytest.mark.parametrize("kind", NUMBERS)
def test_what_would_end_the_process_is_answered(kind, tmp_path):
    graph = normalised(divided(kind), tmp_path)
    given = feeds(NUMBERS[kind])
    a, b = given["a"], given["b"]
    found = whole(graph, given)
    exact = [int(abs(int(x)) // abs(int(y))) * (1 if (x < 0) == (y < 0) else -1) for x, y in zip(a, b, strict=True)]
    bits = np.iinfo(a.dtype).bits
    wrapped = [(value + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1) for value in exact]
    np.testing.assert_array_equal(found["q"], np.array(wrapped, a.dtype))
    np.testing.assert_array_equal(found["inner"], np.array(wrapped, a.dtype))
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(found["r"], np.mod(a, b))


@pytest.mark.parametrize("kind", NUMBERS)
def test_all_else_is_bit_equal(kind, tmp_path):
    path = saved(divided(kind), tmp_path)
    given = {name: value[1:] if value.ndim else value for name, value in feeds(NUMBERS[kind]).items()}
    expected = reference(path, given)
    for name, array in whole(normalised(path, tmp_path), given).items():
        np.testing.assert_array_equal(array, expected[name])


def test_the_model_as_it_is_ends_the_process(tmp_path):
    path = saved(divided("int32"), tmp_path)
    program = (
        f"import numpy as np, onnxruntime as ort; s = ort.InferenceSession({str(path)!r}); "
        "s.run(None, {'a': np.array([-2**31], np.int32), 'b': np.array([-1], np.int32), 'trips': np.array(1)})"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, stderr=subprocess.DEVNULL).returncode < 0


@pytest.mark.parametrize(
    "text",
    [
        "m (float[N] a, float[N] b) => (float[N] q) { q = Div (a, b) }",
        "m (uint32[N] a, uint32[N] b) => (uint32[N] q) { q = Div (a, b) }",
        "m (int64[N] a) => (int64[N] q) <int64[1] two = {2}> { q = Div (a, two) }",
        "m (float[N] a) => (float[N] q) { q = Neg (a) }",
    ],
)
def test_what_cannot_overflow_is_left_alone(text):
    one = model(text)
    before = one.SerializeToString()
    assert not guard_divisions(one)
    assert one.SerializeToString() == before


def test_a_constant_of_minus_one_is_guarded(tmp_path):
    text = "m (int64[N] a) => (int64[N] q) <int64[1] minus = {-1}> { q = Div (a, minus) }"
    graph = normalised(model(text), tmp_path)
    least = np.iinfo(np.int64).min
    np.testing.assert_array_equal(whole(graph, {"a": np.array([least, 3])})["q"], [least, -3])
