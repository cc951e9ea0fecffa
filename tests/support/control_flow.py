"""Models with control flow, written as text: bodies in bodies, captured values, names that hide others."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

_HEAD = '<ir_version: 8, opset_import: ["" : 17]>'


@dataclass(frozen=True, eq=False)
class TextModel:
    """A model as text, and what to feed it in one request after another."""

    text: str
    requests: tuple[dict[str, NDArray[Any]], ...]

    def build(self) -> onnx.ModelProto:
        """Makes the model."""
        return onnx.parser.parse_model(_HEAD + self.text)


def _floats(*numbers: float) -> NDArray[Any]:
    return np.array(numbers, dtype=np.float32)


_X = (_floats(1, -2, 3), _floats(-4, 5, -6))

MODELS = {
    "if": TextModel(
        """branches (bool condition, float[N] x) => (float[N] y) {
          a = Relu (x)
          b = Neg (a)
          c = If (condition) <
            then_branch = yes () => (float[N] t) { t = Add (a, x) },
            else_branch = no () => (float[N] e) { e = Mul (b, x) }
          >
          y = Add (c, a)
        }""",
        tuple({"condition": np.array(condition), "x": x} for condition, x in zip((True, False), _X, strict=True)),
    ),
    "loop": TextModel(
        """rounds (int64 trips, bool go, float[N] x) => (float[N] y, float[M,N] rows) {
          a = Neg (x)
          b = Exp (a)
          last, kept = Loop (trips, go, x) <
            body = round (int64 i, bool c, float[N] s) => (bool c2, float[N] s2, float[N] row) {
              c2 = Identity (c)
              s2 = Add (s, b)
              row = Mul (s2, a)
            }
          >
          y = Tanh (last)
          rows = Neg (kept)
        }""",
        tuple(
            {"trips": np.array(trips), "go": np.array(True), "x": x}
            for trips, x in zip((3, 5, 0), _X * 2, strict=False)
        ),
    ),
    "scan": TextModel(
        """rows (float[N] x, float[M,N] table) => (float[N] y, float[M,N] sums) {
          a = Abs (x)
          first = Neg (x)
          last, found = Scan (first, table) <
            num_scan_inputs = 1,
            body = row (float[N] s, float[N] r) => (float[N] s2, float[N] out) {
              product = Mul (r, a)
              s2 = Add (s, product)
              out = Identity (s2)
            }
          >
          y = Relu (last)
          sums = Abs (found)
        }""",
        tuple({"x": x, "table": np.outer(np.arange(1, 3 + k), x).astype(np.float32)} for k, x in enumerate(_X)),
    ),
    # The inner bodies capture from the outer body and, over its head, from the graph; they hold constants too.
    "if-in-loop": TextModel(
        """nested (int64 trips, bool go, float[N] x) => (float[N] y)
        <float[1] scale = {0.5}> {
          a = Relu (x)
          b = Mul (a, scale)
          last = Loop (trips, go, x) <
            body = round (int64 i, bool c, float[N] s) => (bool c2, float[N] s2) {
              c2 = Identity (c)
              zero = Constant <value_float = 0.0> ()
              sum = ReduceSum <keepdims = 0> (s)
              positive = Greater (sum, zero)
              s2 = If (positive) <
                then_branch = yes () => (float[N] t) {
                  factor = Constant <value_float = 0.25> ()
                  part = Mul (s, factor)
                  t = Sub (part, b)
                },
                else_branch = no () => (float[N] e) {
                  factor = Constant <value_float = 4.0> ()
                  part = Mul (s, factor)
                  e = Add (part, a)
                }
              >
            }
          >
          y = Mul (last, scale)
        }""",
        tuple({"trips": np.array(4), "go": np.array(True), "x": x} for x in _X),
    ),
    "loop-in-if-in-scan": TextModel(
        """deep (float[N] x, float[M,N] table, int64 trips) => (float[N] y) {
          a = Neg (x)
          b = Sigmoid (a)
          last = Scan (x, table) <
            num_scan_inputs = 1,
            body = row (float[N] s, float[N] r) => (float[N] s2) {
              half = Constant <value_float = 0.5> ()
              low = Mul (s, half)
              sum = ReduceSum <keepdims = 0> (r)
              zero = Constant <value_float = 0.0> ()
              positive = Greater (sum, zero)
              s2 = If (positive) <
                then_branch = yes () => (float[N] t) {
                  true = Constant <value = bool {1}> ()
                  t = Loop (trips, true, low) <
                    body = round (int64 i, bool c, float[N] u) => (bool c2, float[N] u2) {
                      one = Constant <value_float = 1.0> ()
                      c2 = Identity (c)
                      step = Add (u, one)
                      scaled = Mul (step, b)
                      u2 = Add (scaled, r)
                    }
                  >
                },
                else_branch = no () => (float[N] e) { e = Add (low, a) }
              >
            }
          >
          y = Add (last, b)
        }""",
        tuple({"x": x, "table": np.outer(_floats(1, -1, 2), x).astype(np.float32), "trips": np.array(3)} for x in _X),
    ),
    # Only a body reads `inner`, and the graph gives it out as well.
    "captured-output": TextModel(
        """taken (bool condition, float[N] x) => (float[N] y, float[N] inner) {
          inner = Exp (x)
          y = If (condition) <
            then_branch = yes () => (float[N] t) { t = Identity (inner) },
            else_branch = no () => (float[N] e) { e = Neg (inner) }
          >
        }""",
        tuple({"condition": np.array(condition), "x": x} for condition, x in zip((True, False), _X, strict=True)),
    ),
    # Two values of the graph and of both branches have the names that cut gives to values.
    "canonical-names": TextModel(
        """named (bool condition, float[N] x) => (float[N] y) {
          "chrion.v2" = Relu (x)
          "chrion.i0" = Neg (x)
          other = Exp (x)
          y = If (condition) <
            then_branch = yes () => (float[N] t) {
              "chrion.i1" = Add ("chrion.v2", x)
              "chrion.b0" = Mul ("chrion.i1", other)
              t = Add ("chrion.b0", "chrion.i0")
            },
            else_branch = no () => (float[N] e) {
              "chrion.i2" = Sub (other, x)
              "chrion.v3" = Mul ("chrion.i2", "chrion.i0")
              e = Add ("chrion.v3", "chrion.v2")
            }
          >
        }""",
        tuple({"condition": np.array(condition), "x": x} for condition, x in zip((True, False), _X, strict=True)),
    ),
}
