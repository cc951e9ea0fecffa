"""A small LSTM whose h and c go in and out, and ways to run it."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from chrion_runtime.run.compiled_plan import compile_plan
from chrion_runtime.run.executor import Executor
from chrion_runtime.run.kernels import KernelStore
from chrion_runtime.run.lanes import Lanes
from chrion_runtime.run.loaded_plan import LoadedPlan
from chrion_runtime.sequences import Sequences, SequenceStore
from chrion_runtime.servable import SequenceStep
from tests.support.partition import normalised

WIDTH, HIDDEN, STEPS = 6, 8, 4
LINKS = {"h_out": "h", "c_out": "c"}


def lstm() -> onnx.ModelProto:
    """x [T, B, 6], h and c [1, B, 8] to y [T, 1, B, 8], h_out, c_out and mood, which is made of h_out."""
    draw = np.random.default_rng(7)

    def weights(name, *shape):
        return numpy_helper.from_array(draw.standard_normal(shape).astype(np.float32) * 0.5, name)

    def port(name, *shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    nodes = [
        helper.make_node("Tanh", ["x"], ["squashed"]),
        helper.make_node(
            "LSTM", ["squashed", "W", "R", "B", "", "h", "c"], ["all", "h_out", "c_out"], hidden_size=HIDDEN
        ),
        helper.make_node("Relu", ["all"], ["y"]),
        helper.make_node("Neg", ["h_out"], ["mood"]),
    ]
    graph = helper.make_graph(
        nodes,
        "lstm",
        [port("x", "T", "B", WIDTH), port("h", 1, "B", HIDDEN), port("c", 1, "B", HIDDEN)],
        [
            port("y", "T", 1, "B", HIDDEN),
            port("h_out", 1, "B", HIDDEN),
            port("c_out", 1, "B", HIDDEN),
            port("mood", 1, "B", HIDDEN),
        ],
        [
            weights("W", 1, 4 * HIDDEN, WIDTH),
            weights("R", 1, 4 * HIDDEN, HIDDEN),
            weights("B", 1, 8 * HIDDEN),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.fixture(scope="session")
def graph(tmp_path_factory):
    """The LSTM, normalised."""
    return normalised(lstm(), tmp_path_factory.mktemp("lstm"))


def speech(seed, steps=STEPS * 5, batch=1):
    """Something for x."""
    return np.random.default_rng(seed).standard_normal((steps, batch, WIDTH)).astype(np.float32)


def zeros(batch=1):
    return {name: np.zeros((1, batch, HIDDEN), np.float32) for name in ("h", "c")}


BUCKET = {"x": (STEPS, 1, WIDTH), "h": (1, 1, HIDDEN), "c": (1, 1, HIDDEN)}


class Stream:
    """The sequences of one model, whichever executor runs it."""

    def __init__(self, executor, devices, bucket=BUCKET, links=LINKS, **options):
        self.executor = executor
        compiled = executor.loaded.compiled
        kinds = {name: compiled.types[name] for name in compiled.inputs}
        self.sequences = Sequences(links, kinds, devices["cpu"].memory, SequenceStore(**options))
        self._bucket = bucket

    def send(self, key, feeds, start=False, end=False, outputs=None):
        return self.sequences.run(SequenceStep(key, start, end), feeds, outputs, self._answer)

    def _answer(self, feeds, transfer):
        self.sequences.begin(transfer, feeds, self._bucket)
        return self.executor.run(feeds, transfer)

    def talk(self, key, x, **options):
        """A sequence from its start to its end in chunks; all of y."""
        chunks = np.split(x, len(x) // STEPS)
        return np.concatenate(
            [self.send(key, {"x": chunk}, start=chunk is chunks[0], **options)["y"] for chunk in chunks]
        )


@contextmanager
def executors(graph, plans, devices) -> Iterator[list[Executor]]:
    """Executors of several plans over the same lanes, warm."""
    lanes, store = Lanes(), KernelStore()
    try:
        found = [Executor(LoadedPlan(compile_plan(graph, plan), devices, store), lanes) for plan in plans]
        yield found
    finally:
        lanes.close()
