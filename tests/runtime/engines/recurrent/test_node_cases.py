"""ONNX's own tests of LSTM, GRU and RNN by the kernels, with the weights as constants."""

from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper

from chrion_graph.graph import Graph
from chrion_graph.recurrent import B, P, R, W, is_recurrent, optional_input
from chrion_runtime.devices import open_devices
from chrion_runtime.engines import Ports, Site, engine_named
from tests.runtime.run.test_node_cases import CASES, supported
from tests.support.kernels import needs_kernels

ENGINE = engine_named("recurrent")
RECURRENT = {name: case for name, case in CASES.items() if all(is_recurrent(node) for node in case.model.graph.node)}
LEFT = {"test_lstm_with_peepholes", *(name for name in RECURRENT if name.endswith("_batchwise"))}
"""Those that ONNX Runtime keeps: peepholes, and layout=1."""


def test_there_are_cases() -> None:
    assert len(RECURRENT) > len(LEFT) > 1


@needs_kernels
@pytest.mark.parametrize("name", RECURRENT)
def test_case(name: str, tmp_path: Path) -> None:
    case = RECURRENT[name]
    ((inputs, outputs),) = case.data_sets
    feeds = dict(zip((value.name for value in case.model.graph.input), map(np.asarray, inputs), strict=True))
    model = case.model if name in LEFT else supported(case.model, feeds)
    (node,) = model.graph.node
    weights = {optional_input(node, place) for place in (W, R, B, P)} & feeds.keys()
    model.graph.initializer.extend(numpy_helper.from_array(feeds[each], each) for each in weights)
    kept = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    path = tmp_path / "case.onnx"
    path.write_bytes(model.SerializeToString())
    assert ENGINE.takes(Graph.load(tmp_path, path.name), [0], "cpu") == (name not in LEFT)
    if name not in LEFT:
        ports = Ports(tuple(value.name for value in kept), tuple(value.name for value in model.graph.output))
        kernel = ENGINE.compile(path, Site(open_devices([], 1)["cpu"], 1), {})
        found = kernel.run(ports, [feeds[each] for each in ports.reads])
        for one, expected in zip(found, outputs, strict=True):
            np.testing.assert_allclose(one, expected, rtol=1e-4, atol=1e-5)
