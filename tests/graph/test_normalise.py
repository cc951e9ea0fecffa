"""Normalising keeps every bit of every answer, is the same each time, and leaves what it reads alone."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from chrion_graph.errors import InvalidModel, LimitExceeded, UnsafeModel
from chrion_graph.graph import Graph
from chrion_graph.limits import Limits
from chrion_graph.load import digest
from chrion_graph.normalise import normalise
from chrion_graph.observe import observe
from chrion_models.families import find
from chrion_models.inputs import random_inputs
from tests.support.control_flow import MODELS, TextModel
from tests.support.partition import BASIC, Arrays, assert_same_bits, normalised, reference, saved, whole

X = np.array([1, -2, 3], dtype=np.float32)


def check(text: str, feeds: Arrays, folder: Path) -> Graph:
    """Normalise a model given as text; its answers keep their bits."""
    return check_model(TextModel(text, ()).build(), feeds, folder)


def check_model(model: onnx.ModelProto, feeds: Arrays, folder: Path) -> Graph:
    graph = normalised(model, folder)
    assert_same_bits(whole(graph, feeds), reference(folder / "original.onnx", feeds, BASIC))
    return graph


SAME = ("crnn-c4-h16-w48-b1", "unrolled-gru-l2-h16-s4-b1-gemm-slice", "lstm-bidirectional-l2-h16-s8-b3-lengths-states")


def test_is_the_same_in_every_process(tmp_path: Path) -> None:
    models = {name: find(name).build() for name in SAME} | {name: model.build() for name, model in MODELS.items()}
    for name, model in models.items():
        saved(model, tmp_path / name)
    program = """
import sys
from pathlib import Path
from chrion_graph.graph import Graph
from chrion_graph.limits import Limits
from chrion_graph.normalise import _normalise
for folder in sorted(Path(sys.argv[1]).iterdir()):
    target = folder / sys.argv[2]
    target.mkdir()
    model = _normalise(folder / "original.onnx", target, Limits())
    print(folder.name, model, Graph.load(target).digest)
"""
    found = {
        subprocess.run(
            [sys.executable, "-c", program, str(tmp_path), seed],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2", "3")
    }
    assert len(found) == 1
    assert len(found.pop().splitlines()) == len(models)
    for name in models:
        contents = {
            tuple((file.name, file.read_bytes()) for file in sorted((tmp_path / name / seed).iterdir()))
            for seed in ("0", "1", "2", "3")
        }
        assert len(contents) == 1


def _external(folder: Path) -> Path:
    """A CRNN whose weights lie in two files, one of them in a folder below."""
    case = find("crnn-c4-h16-w48-b1")
    path = saved(case.build(), folder)
    model = onnx.load(path)
    # ONNX Runtime wants what shapes are computed from in the model's own file.
    weights = [tensor for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT]
    for index, tensor in enumerate(weights):
        location = "below/odd.bin" if index % 2 else "even.bin"
        onnx.external_data_helper.set_external_data(tensor, location)
    (folder / "below").mkdir()
    onnx.save(model, path)
    return path


def test_reads_external_data_and_leaves_the_source_alone(tmp_path: Path) -> None:
    case = find("crnn-c4-h16-w48-b1")
    source = tmp_path / "source"
    path = _external(source)
    files = {file: file.read_bytes() for file in source.rglob("*") if file.is_file()}
    assert len(files) == 3
    for file in (*files, source, source / "below"):
        file.chmod(0o555)
    before = {file: file.stat().st_mtime_ns for file in (source, source / "below", *files)}
    named = normalise(path, tmp_path / "made")
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert {file: file.read_bytes() for file in source.rglob("*") if file.is_file()} == files
    feeds = random_inputs(case.build(), case.inputs)
    graph = Graph.load(tmp_path / "made")
    assert_same_bits(whole(graph, feeds), reference(path, feeds, BASIC))
    assert sorted(file.name for file in (tmp_path / "made").iterdir()) == ["SHA256SUMS", "model.onnx", "weights.bin"]
    # The digest names the external data too.
    assert named == digest(path)
    assert named != hashlib.sha256(path.read_bytes()).hexdigest()
    weights = source / "even.bin"
    weights.chmod(0o644)
    weights.write_bytes(weights.read_bytes()[::-1])
    assert digest(path) != named


def test_a_model_in_one_file_is_named_by_its_digest(tmp_path: Path) -> None:
    path = saved(MODELS["if"].build(), tmp_path)
    assert normalise(path, tmp_path / "made") == hashlib.sha256(path.read_bytes()).hexdigest()


def test_nodes_come_in_order(tmp_path: Path) -> None:
    model = MODELS["if-in-loop"].build()
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    check_model(model, MODELS["if-in-loop"].requests[0], tmp_path)


def test_inputs_with_a_value_are_constants(tmp_path: Path) -> None:
    model = TextModel(
        "scale (float[N] x, float[1] two) => (float[N] y) <float[1] two = {2.0}> { y = Mul (x, two) }", ()
    )
    graph = check_model(model.build(), {"x": X}, tmp_path)
    assert list(graph.inputs) == ["x"]


def test_an_output_that_is_an_input(tmp_path: Path) -> None:
    graph = check("through (float[N] x) => (float[N] x, float[N] y) { y = Neg (x) }", {"x": X}, tmp_path)
    assert list(graph.outputs) == ["x", "y"]


def test_an_output_that_is_a_constant(tmp_path: Path) -> None:
    text = """fixed (float[N] x) => (float[2] k, float[2] two, float[N] y) <float[2] two = {1.0, 2.0}> {
      k = Constant <value = float[2] {3.0, 4.0}> ()
      sum = ReduceSum <keepdims = 0> (two)
      y = Mul (x, sum)
    }"""
    graph = check(text, {"x": X}, tmp_path)
    assert {"k", "two"} <= graph.producer.keys()


def test_a_model_that_is_all_constant(tmp_path: Path) -> None:
    graph = check("fixed () => (float[2] k) { k = Constant <value = float[2] {3.0, 4.0}> () }", {}, tmp_path)
    assert len(graph.nodes) == 1


def test_nodes_with_the_same_name_are_refused_as_onnx_runtime_does(tmp_path: Path) -> None:
    model = TextModel("two (float[N] x) => (float[N] y) { a = Neg (x) y = Exp (a) }", ()).build()
    for node in model.graph.node:
        node.name = "same"
    with pytest.raises(InvalidModel, match=r"original\.onnx: .* two nodes with same node name \(same\)"):
        normalise(saved(model, tmp_path), tmp_path / "made")


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0, 0)])
def test_axes_of_no_length(shape: tuple[int, int], tmp_path: Path) -> None:
    text = "empty (float[N,M] x) => (float[N,M] y, float[M] z) { y = Exp (x) z = ReduceSum <keepdims = 0> (y, axis) }"
    model = TextModel(text.replace("{ y", "<int64[1] axis = {0}> { y", 1), ())
    graph = check_model(model.build(), {"x": np.zeros(shape, np.float32)}, tmp_path)
    assert observe(graph, {"x": np.zeros(shape, np.float32)})["z"] == (shape[1],)


def test_scalars(tmp_path: Path) -> None:
    feeds: dict[str, NDArray[Any]] = {"x": np.array(2, np.float32), "n": np.array(3)}
    text = "scalars (float x, int64 n) => (float y, int64 m) { y = Exp (x) m = Mul (n, n) }"
    assert observe(check(text, feeds, tmp_path), feeds) == {"x": (), "n": (), "y": (), "m": ()}


def test_nodes_that_nobody_reads_are_left_out(tmp_path: Path) -> None:
    text = "dead (float[N] x) => (float[N] y) { a = Neg (x) b = Exp (a) c = Tanh (b) y = Abs (x) }"
    assert [node.op_type for node in check(text, {"x": X}, tmp_path).nodes] == ["Abs"]


def test_constants_deep_in_bodies_are_written_once(tmp_path: Path) -> None:
    graph = check_model(MODELS["loop-in-if-in-scan"].build(), MODELS["loop-in-if-in-scan"].requests[0], tmp_path)
    assert graph.types.keys() >= {"x", "table", "a", "b", "last", "y"}


@pytest.mark.parametrize(
    ("side", "text"),
    [
        ("input", "sequence (seq(float[N]) x) => (float[M] y) { y = ConcatFromSequence <axis = 0> (x) }"),
        ("output", "sequence (float[N] x) => (seq(float[N]) y) { y = SequenceConstruct (x, x) }"),
    ],
)
def test_refuses_what_is_no_tensor_at_the_border(side: str, text: str, tmp_path: Path) -> None:
    path = saved(TextModel(text, ()).build(), tmp_path)
    name = "x" if side == "input" else "y"
    with pytest.raises(InvalidModel, match=f'original.onnx: {side} "{name}" must be a tensor'):
        normalise(path, tmp_path / "made")


def test_holds_a_model_to_its_limits(tmp_path: Path) -> None:
    path = _external(tmp_path)
    size = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
    normalise(path, tmp_path / "made", Limits(model_bytes=size))
    with pytest.raises(LimitExceeded, match=r"bytes with its external data; the limit is .* --max-model-bytes"):
        normalise(path, tmp_path / "made", Limits(model_bytes=size - 1))
    with pytest.raises(LimitExceeded, match=r"bytes; the limit is 100; raise --max-model-bytes"):
        normalise(path, tmp_path / "made", Limits(model_bytes=100))


def test_counts_nodes_in_bodies_and_functions(tmp_path: Path) -> None:
    path = saved(MODELS["loop-in-if-in-scan"].build(), tmp_path)
    with pytest.raises(LimitExceeded, match="has 18 nodes; the limit is 17; raise --max-nodes"):
        normalise(path, tmp_path / "made", Limits(nodes=17))
    normalise(path, tmp_path / "made", Limits(nodes=18))
    model = onnx.load(path)
    model.functions.append(
        helper.make_function("local", "f", ["v"], ["w"], [helper.make_node("Neg", ["v"], ["w"])], model.opset_import)
    )
    onnx.save(model, path)
    with pytest.raises(LimitExceeded, match="19 nodes"):
        normalise(path, tmp_path / "made", Limits(nodes=18))


def test_external_data_of_a_function_is_confined_too(tmp_path: Path) -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../secret")
    constant = helper.make_node("Constant", [], ["w"], value=tensor)
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    function = helper.make_function("local", "f", [], ["w"], [constant], imports[:1])
    graph = helper.make_graph(
        [helper.make_node("f", [], ["y"], domain="local")],
        "calls",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
        [numpy_helper.from_array(X, "unused")],
    )
    path = saved(helper.make_model(graph, opset_imports=imports, functions=[function], ir_version=8), tmp_path)
    with pytest.raises(UnsafeModel, match="not a plain path inside the model's folder"):
        normalise(path, tmp_path / "made")


def test_a_full_disk_is_said_so(tmp_path: Path) -> None:
    path = saved(MODELS["if"].build(), tmp_path)
    target = tmp_path / "made"
    target.mkdir()
    (target / "model.onnx").mkdir()
    with pytest.raises(InvalidModel, match=r"original\.onnx"):
        normalise(path, target)


def test_time_grows_with_the_nodes_of_large_graphs():
    limits = Limits(seconds=10)
    assert [limits.seconds_for(nodes) for nodes in (1, 10_000, 100_000)] == [10, 10, 100]


def test_constants_that_are_listed_as_inputs_are_none_even_where_they_were_folded(tmp_path: Path) -> None:
    """As in files of ONNX's IR version 3, which had to list every initializer."""
    model = TextModel("g (float[t, 4] x) => (float[t, 4] y) { w = ConstantOfShape(size)\n y = Add(x, w) }", ()).build()
    model.graph.initializer.append(numpy_helper.from_array(np.array([4]), "size"))
    model.graph.input.append(helper.make_tensor_value_info("size", TensorProto.INT64, [1]))
    model.ir_version = 3
    graph = check_model(model, {"x": np.ones((2, 4), np.float32)}, tmp_path)
    assert list(graph.inputs) == ["x"]
