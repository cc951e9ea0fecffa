"""ONNX's own tests of recurrent and control-flow operators pass through the executor, each node a stage of its own."""

import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx.backend.test.case import node as node_cases
from onnx.backend.test.case.test_case import TestCase as Case

from chrion_graph.errors import InvalidModel
from chrion_runtime.devices import open_devices
from tests.support.partition import BASIC, assert_same_bits, each_node, normalised, plan_of, reference, running

OPERATORS = {"LSTM", "GRU", "RNN", "If", "Loop", "Scan"}
# The loader of all node tests takes 7 s; these modules make the cases of the six, and of functions made of them.
MODULES = ("lstm", "gru", "rnn", "if_", "loop", "scan", "affinegrid", "linear_attention", "rangeop", "sequence_map")


def cases() -> dict[str, Case]:
    for module in MODULES:
        importlib.import_module(f"{node_cases.__name__}.{module}")
    found = {case.name: case for case in node_cases._NodeTestCases}
    return {
        name: case
        for name, case in found.items()
        if case.model is not None and OPERATORS & {node.op_type for node in case.model.graph.node}
    }


CASES = cases()


def supported(model: onnx.ModelProto, feeds: Mapping[str, Any]) -> onnx.ModelProto:
    """The model at an opset that ONNX Runtime knows; skips the test where it cannot run it."""
    try:
        reference(model, feeds, BASIC)
    except Exception as error:  # noqa: BLE001, ONNX Runtime raises many types
        newest = re.search(r"support for domain ai\.onnx is till opset (\d+)", str(error))
        if newest is None:
            pytest.skip(f"ONNX Runtime itself does not run it: {' '.join(str(error).split())[:200]}")
        older = onnx.ModelProto()
        older.CopyFrom(model)
        for entry in older.opset_import:
            if entry.domain in ("", "ai.onnx"):
                entry.version = int(newest[1])
        return supported(older, feeds) if older != model else model
    return model


def test_every_operator_has_cases() -> None:
    for operator in OPERATORS:
        assert any(operator in {node.op_type for node in case.model.graph.node} for case in CASES.values())


@pytest.mark.parametrize("name", CASES)
def test_case(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    ((inputs, outputs),) = case.data_sets
    names = [value.name for value in case.model.graph.input]
    feeds = {
        name: value if isinstance(value, list) else np.asarray(value) for name, value in zip(names, inputs, strict=True)
    }
    model = supported(case.model, feeds)
    values = (*model.graph.input, *model.graph.output)
    if any(value.type.WhichOneof("value") != "tensor_type" for value in values):
        with pytest.raises(InvalidModel, match="must be a tensor of a type that numpy has") as caught:
            normalised(model, tmp_path)
        assert str(caught.value).isprintable()
        return
    graph = normalised(model, tmp_path)
    expected = reference(model, feeds, BASIC)
    wanted: dict[str, NDArray[Any]] = dict(zip((value.name for value in model.graph.output), outputs, strict=True))
    devices = open_devices(["emulated:0"], 2)
    with running(
        graph, plan_of(graph, each_node(graph, (("emulated:0/0",), ("cpu/0",), ("cpu/1",)))), devices
    ) as executor:
        for answer in (executor.warm(feeds), executor.run(feeds)):
            assert_same_bits(answer, expected)
            for output, array in wanted.items():
                np.testing.assert_allclose(answer[output], array, rtol=case.rtol, atol=1e-6)
