"""Answers equal ONNX Runtime's, wherever the graph is cut, however it is rewritten and whatever it runs on."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from chrion_api import Optimization
from chrion_graph.equality import difference
from chrion_graph.graph import Graph
from chrion_graph.rewrite import ways
from chrion_models.families import ModelCase, cases
from chrion_models.spectrogram import nsnet2_input
from chrion_runtime.devices import open_devices
from tests.support.control_flow import MODELS, TextModel
from tests.support.partition import (
    BASIC,
    Arrays,
    assert_same_bits,
    at_random,
    each_node,
    normalised,
    plan_of,
    reference,
    running,
    saved,
    whole,
)

CaseInputs = Callable[..., Arrays]

SMALL = pytest.mark.parametrize("case", cases(small=True), ids=lambda case: case.name)
MIXED = (("cpu/0",), ("emulated:0/0",), ("cpu/1",))

_random = np.random.default_rng(5)
REAL: dict[str, Arrays] = {
    "nsnet2.onnx": {"input": nsnet2_input(frames=12)},
    "nsnet2-48k.onnx": {"input": _random.standard_normal((2, 7, 513)).astype(np.float32)},
    **{
        file: {
            "input": _random.standard_normal((1, 576)).astype(np.float32),
            "state": _random.standard_normal((2, 1, 128)).astype(np.float32),
            "sr": np.array(rate),
        }
        for file, rate in (
            ("silero_vad.onnx", 16000),
            ("silero_vad_16k.onnx", 16000),
            ("silero_vad_ifless.onnx", 16000),
        )
    },
    "silero_vad_sequence.onnx": {
        "input": _random.standard_normal((4, 576)).astype(np.float32),
        "h": _random.standard_normal((1, 1, 128)).astype(np.float32),
        "c": _random.standard_normal((1, 1, 128)).astype(np.float32),
    },
}


def check_forced_cuts(graph: Graph, feeds: Mapping[str, NDArray[Any]]) -> None:
    """Every node a stage of its own, alone and beside others, loose and in a slot: bit-equal to one session."""
    expected = whole(graph, feeds)
    with running(graph, plan_of(graph, each_node(graph))) as executor:
        assert_same_bits(executor.warm(feeds), expected)
        assert_same_bits(executor.run(feeds), expected)
    devices = open_devices(["emulated:0"], 2)
    with running(graph, plan_of(graph, each_node(graph, MIXED)), devices) as executor:
        assert_same_bits(executor.warm(feeds), expected)
        assert_same_bits(executor.run(feeds), expected)


def check_random_stages(graph: Graph, feeds: Mapping[str, NDArray[Any]], expected: Arrays, count: int) -> None:
    """Random stages over cores and the emulated device, everything optimised: equal within the tolerance."""
    devices = open_devices(["emulated:0"], 2)
    for seed in range(count):
        with running(graph, plan_of(graph, at_random(graph, seed, MIXED), Optimization.ALL), devices) as executor:
            assert not difference(executor.warm(feeds), expected)
            assert not difference(executor.run(feeds), expected)


@SMALL
def test_families_cut_at_every_node(case: ModelCase, case_inputs: CaseInputs, tmp_path: Path) -> None:
    feeds = case_inputs(case)
    graph = normalised(case.build(), tmp_path)
    assert_same_bits(whole(graph, feeds), reference(tmp_path / "original.onnx", feeds, BASIC))
    check_forced_cuts(graph, feeds)


@SMALL
def test_families_in_random_stages(case: ModelCase, case_inputs: CaseInputs, tmp_path: Path) -> None:
    feeds = case_inputs(case)
    graph = normalised(case.build(), tmp_path)
    check_random_stages(graph, feeds, reference(tmp_path / "original.onnx", feeds), count=3)


BIDIRECTIONAL = [case for case in cases(small=True) if "bidirectional" in case.name or "crnn" in case.name]


@pytest.mark.parametrize("case", BIDIRECTIONAL, ids=lambda case: case.name)
def test_families_rewritten(case: ModelCase, case_inputs: CaseInputs, tmp_path: Path) -> None:
    feeds = case_inputs(case)
    graph = normalised(case.build(), tmp_path)
    expected = whole(graph, feeds)
    _, *rewritten = ways(graph)
    assert rewritten
    for rewrites, other in rewritten:
        with running(graph, plan_of(graph, each_node(other), rewrites=rewrites)) as executor:
            for answer in (executor.warm(feeds), executor.run(feeds)):
                assert not difference(answer, expected)
                if {rewrite.name for rewrite in rewrites} == {"split-directions"}:
                    assert_same_bits(answer, expected)


@pytest.mark.parametrize("file", REAL)
def test_real_models_cut_at_every_node(models_dir: Path, tmp_path: Path, file: str) -> None:
    graph = normalised(models_dir / file, tmp_path)
    assert_same_bits(whole(graph, REAL[file]), reference(models_dir / file, REAL[file], BASIC))
    check_forced_cuts(graph, REAL[file])


@pytest.mark.parametrize("file", REAL)
def test_real_models_in_random_stages(models_dir: Path, tmp_path: Path, file: str) -> None:
    graph = normalised(models_dir / file, tmp_path)
    check_random_stages(graph, REAL[file], reference(models_dir / file, REAL[file]), count=2)


@pytest.mark.parametrize("rate", [8000, 16000])
def test_silero_takes_either_branch(models_dir: Path, tmp_path: Path, rate: int) -> None:
    graph = normalised(models_dir / "silero_vad.onnx", tmp_path)
    feeds = {**REAL["silero_vad.onnx"], "sr": np.array(rate)}
    if rate == 8000:
        feeds["input"] = feeds["input"][:, :288]
    with running(graph, plan_of(graph, each_node(graph))) as executor:
        executor.warm(REAL["silero_vad.onnx"])
        for _ in range(3):
            answer = executor.run(feeds)
            assert_same_bits(answer, reference(models_dir / "silero_vad.onnx", feeds, BASIC))
            feeds["state"] = answer["stateN"]


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_control_flow_cut_at_every_node(model: TextModel, tmp_path: Path) -> None:
    graph = normalised(model.build(), tmp_path)
    with running(graph, plan_of(graph, each_node(graph))) as executor:
        executor.warm(model.requests[0])
        for feeds in (*model.requests, *model.requests):
            assert_same_bits(executor.run(feeds), reference(tmp_path / "original.onnx", feeds, BASIC))
            check_forced_cuts(graph, feeds)


def test_nodes_that_share_a_sequence_stay_together(tmp_path: Path) -> None:
    model = TextModel(
        """tied (float[N] x) => (float[M] y, float[N] z)
        <int64 zero = {0}> {
          a = Neg (x)
          b = Exp (a)
          list = SequenceConstruct (a, b)
          first = SequenceAt (list, zero)
          c = Tanh (first)
          longer = SequenceInsert (list, c)
          y = ConcatFromSequence <axis = 0> (longer)
          z = Add (b, x)
        }""",
        ({"x": np.array([1, -2, 3], dtype=np.float32)},),
    )
    graph = normalised(model.build(), tmp_path)
    (feeds,) = model.requests
    with running(graph, plan_of(graph, each_node(graph))) as executor:
        assert len(executor.loaded.stages) == len(graph.nodes) - 4
        assert_same_bits(executor.warm(feeds), reference(tmp_path / "original.onnx", feeds, BASIC))
        assert_same_bits(executor.run(feeds), reference(tmp_path / "original.onnx", feeds, BASIC))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("family", ["stack", "unrolled", "encoder-decoder", "crnn"])
def test_the_full_suite_in_random_stages(family: str, case_inputs: CaseInputs, tmp_path: Path) -> None:
    for case in cases(family=family):
        folder = tmp_path / case.name
        feeds = case_inputs(case)
        path = saved(case.build(), folder)
        graph = normalised(path, folder)
        expected = reference(path, feeds, BASIC)
        assert_same_bits(whole(graph, feeds), expected)
        for rewrites, rewritten in ways(graph):
            cut = at_random(rewritten, seed=len(graph.nodes))
            with running(graph, plan_of(graph, cut, rewrites=rewrites)) as executor:
                assert not difference(executor.warm(feeds), expected)
                assert not difference(executor.run(feeds), expected)
        for file in (*folder.rglob("*.onnx"), *folder.rglob("*.bin")):
            file.unlink()
