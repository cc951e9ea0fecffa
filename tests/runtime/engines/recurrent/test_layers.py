"""Layers by the kernels answer as ONNX Runtime's do, whatever ONNX lets them have."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from chrion_api import WEIGHTS, WeightFormat
from chrion_runtime.devices import open_devices
from chrion_runtime.devices.cpu import flags
from chrion_runtime.engines import Ports, Site, engine_named
from chrion_runtime.engines.recurrent.library import FORCED
from tests.support.kernels import needs_kernels

pytestmark = needs_kernels

MULTIPLIES_BYTES = "avx512_vnni" in flags() and os.environ.get(FORCED, "avx512-vnni") == "avx512-vnni"
"""Whether the build that runs here rounds inputs and states to bytes as well."""

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
NAMED = {"LSTM": 3, "GRU": 2, "RNN": 1}
ENGINE = engine_named("recurrent")
Arrays = dict[str, NDArray[Any]]


def layer(draw: st.DrawFn) -> tuple[Any, Arrays]:
    """A model of one layer of any kind and options, and its inputs."""
    kind = draw(st.sampled_from(["LSTM", "GRU", "RNN"]))
    direction = draw(st.sampled_from(["forward", "reverse", "bidirectional"]))
    sides = 2 if direction == "bidirectional" else 1
    steps, batch = draw(st.sampled_from([1, 2, 5, 17, 40])), draw(st.sampled_from([1, 2, 3, 4, 5, 7, 8, 11, 66]))
    inputs, units = draw(st.integers(1, 20)), draw(st.sampled_from([1, 2, 3, 4, 7, 8, 9, 16, 17, 31, 32, 33, 48]))
    seed = draw(st.integers(0, 1000))
    random = np.random.default_rng(seed)

    def made(*shape: int, scale: float = 0.0) -> NDArray[np.float32]:
        return ((scale or 0.7 / units**0.5) * random.standard_normal(shape)).astype(np.float32)

    rows = GATES[kind] * units
    weights = {"W": made(sides, rows, inputs), "R": made(sides, rows, units)}
    feeds: Arrays = {"X": made(steps, batch, inputs, scale=1.0)}
    names = ["X", "W", "R"]
    names.append("B" if draw(st.booleans()) else "")
    if names[-1]:
        weights["B"] = made(sides, 2 * rows)
    names.append("lengths" if draw(st.booleans()) else "")
    if names[-1]:
        feeds["lengths"] = random.integers(1, steps + 1, batch).astype(np.int32)
        feeds["lengths"][random.integers(batch)] = steps
    for state in ("h", "c")[: 2 if kind == "LSTM" else 1]:
        names.append(state if draw(st.booleans()) else "")
        if names[-1]:
            feeds[state] = made(sides, batch, units)
    attributes: dict[str, Any] = {"direction": direction}
    if kind == "GRU":
        attributes["linear_before_reset"] = draw(st.integers(0, 1))
    if draw(st.booleans()):
        functions = st.sampled_from(["Sigmoid", "Tanh", "Relu"])
        attributes["activations"] = draw(
            st.lists(functions, min_size=NAMED[kind] * sides, max_size=NAMED[kind] * sides)
        )
    every = ["Y", "Y_h", "Y_c"][: 3 if kind == "LSTM" else 2]
    wanted = [name if draw(st.booleans()) else "" for name in every]
    if not any(wanted):
        wanted[draw(st.integers(0, len(every) - 1))] = "Y_h"
        wanted = [name and every[place] for place, name in enumerate(wanted)]
    node = helper.make_node(kind, names, wanted, hidden_size=units, **attributes)
    graph = helper.make_graph(
        [node],
        "layer",
        [
            helper.make_tensor_value_info(
                name, TensorProto.INT32 if name == "lengths" else TensorProto.FLOAT, [None] * array.ndim
            )
            for name, array in feeds.items()
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in wanted if name],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), feeds


layers = st.composite(layer)()


WAYS = [(1, "Alone"), (2, "Pieces"), (2, "Units"), (3, "Pieces"), (3, "Units")]
"""Threads, and how they share a run."""


def run(
    model: Any, feeds: Arrays, folder: Path, way: tuple[int, str], weights: WeightFormat = WeightFormat.FLOAT32
) -> dict[str, NDArray[Any]]:
    """What the kernels answer; from `run`, and the same from a call that was bound."""
    path = folder / "layer.onnx"
    path.write_bytes(model.SerializeToString())
    names = [value.name for value in model.graph.output]
    ports = Ports(tuple(feeds), tuple(names))
    (device,) = open_devices([], 1).values()
    lanes, sharing = way
    kernel = ENGINE.compile(path, Site(device, lanes), {"sharing": sharing, WEIGHTS: weights.value})
    found = [np.asarray(array) for array in kernel.run(ports, list(feeds.values()))]
    bound = [np.full_like(array, np.nan) for array in found]
    kernel.bind(ports, list(feeds.values()), bound)()
    for one, other in zip(found, bound, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    return dict(zip(names, found, strict=True))


def theirs(model: Any, feeds: Arrays) -> dict[str, NDArray[Any]]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [value.name for value in model.graph.output]
    return dict(zip(names, session.run(names, feeds), strict=True))


def is_steady(model: Any, feeds: Arrays, expected: Arrays, nudge: float = 1e-6) -> bool:
    """Whether its answers depend on its inputs but little: with Relu they can grow, and rounding with them."""
    nudged = {name: array * np.float32(1 + nudge) if name != "lengths" else array for name, array in feeds.items()}
    for name, array in theirs(model, nudged).items():
        largest = max(1, np.abs(array).max(initial=0))
        if (
            not np.isfinite(array).all()
            or largest > 1e6
            or np.abs(array - expected[name]).max(initial=0) > 3 * nudge * largest
        ):
            return False
    return True


@settings(max_examples=300, deadline=None)
@given(layers, st.sampled_from(WAYS))
def test_any_layer_answers_as_onnx_runtime_does(
    tmp_path_factory: pytest.TempPathFactory, made: tuple[Any, Arrays], way: tuple[int, str]
) -> None:
    model, feeds = made
    expected = theirs(model, feeds)
    assume(is_steady(model, feeds, expected))
    found = run(model, feeds, tmp_path_factory.getbasetemp(), way)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-5 * max(1, np.abs(array).max()))


def rounded(array: NDArray[np.float32], weights: WeightFormat) -> NDArray[np.float32]:
    """Weights as they are kept: bytes have a scale for each row, the last axis."""
    if weights is WeightFormat.FLOAT16:
        return array.astype(np.float16).astype(np.float32)
    scale = np.abs(array).max(axis=-1, keepdims=True) / np.float32(127)
    return (np.rint(array / np.where(scale > 0, scale, 1)) * scale).astype(np.float32)


@settings(max_examples=150, deadline=None)
@given(layers, st.sampled_from(WAYS), st.sampled_from([WeightFormat.FLOAT16, WeightFormat.INT8]))
def test_with_rounded_weights_it_answers_as_a_model_that_has_those(
    tmp_path_factory: pytest.TempPathFactory, made: tuple[Any, Arrays], way: tuple[int, str], weights: WeightFormat
) -> None:
    model, feeds = made
    found = run(model, feeds, tmp_path_factory.getbasetemp(), way, weights)
    for tensor in model.graph.initializer:
        if tensor.name in ("W", "R"):
            tensor.CopyFrom(numpy_helper.from_array(rounded(numpy_helper.to_array(tensor), weights), tensor.name))
    expected = theirs(model, feeds)
    as_bytes = weights is WeightFormat.INT8 and MULTIPLIES_BYTES
    assume(is_steady(model, feeds, expected, 1e-2 if as_bytes else 1e-6))
    for name, array in expected.items():
        largest = max(1, np.abs(array).max())
        if as_bytes:  # then inputs and states are rounded too
            np.testing.assert_allclose(found[name], array, rtol=0, atol=0.05 * largest)
        else:
            np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-5 * largest)
