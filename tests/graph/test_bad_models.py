"""Every bad model ends in one error of one line that names what is wrong, within the limits on time and memory."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chrion_api import ChrionError, InputSpec
from chrion_graph.errors import InvalidModel, LimitExceeded, ModelError, UnsafeModel
from chrion_graph.graph import Graph
from chrion_graph.inputs import buckets, sample
from chrion_graph.limits import Limits
from chrion_graph.model_worker import ModelWorker
from chrion_graph.normalise import _normalise, normalise
from chrion_graph.observe import observe
from tests.support.bad_models import BAD_MODELS

LIMITS = Limits(seconds=60, memory_bytes=1 << 30, nodes=50_000)

# What the error is, and what it must say.
REFUSED: dict[str, tuple[type[ModelError], str]] = {
    "text": (InvalidModel, "is not an ONNX file"),
    "empty": (InvalidModel, "is not an ONNX file"),
    "png": (InvalidModel, "is not an ONNX file"),
    "truncated": (InvalidModel, "is not an ONNX file, or is damaged, cut short"),
    "unknown-opset": (InvalidModel, "Opset 999 is under development .* till opset"),
    "unknown-operator": (InvalidModel, "Frobnicate"),
    "unknown-domain": (InvalidModel, "com.example.unknown:Relu"),
    "cycle": (InvalidModel, "not acyclic"),
    "undefined-value": (InvalidModel, "'nowhere'"),
    "mismatched-shapes": (InvalidModel, r"\(MatMul\) .* Incompatible dimensions"),
    "short-initializer": (InvalidModel, "Initializer 'w'.* does not match"),
    "duplicate-values": (InvalidModel, r"Duplicate definition of name \(y\)"),
    "no-outputs": (InvalidModel, "the model has no outputs"),
    "external-missing": (InvalidModel, r'"w" needs the external data file .*weights.bin, which is missing'),
    "external-parent": (UnsafeModel, r'"w" keeps its data at "../secret"'),
    "external-around": (UnsafeModel, r'"w" keeps its data at "sub/../../secret"'),
    "external-absolute": (UnsafeModel, r'"w" keeps its data at "/.*/secret"'),
    "external-hard-link": (UnsafeModel, r"weights.bin is a hard link, .* put a copy in its place"),
    "external-many": (LimitExceeded, r"keeps its data in more than 4,096 files, .* all_tensors_to_one_file"),
    "external-link": (UnsafeModel, r'"w" keeps its data at "weights.bin"'),
    "external-linked-folder": (UnsafeModel, r'"w" keeps its data at "sub/secret"'),
    "external-in-constant": (UnsafeModel, r'"w" keeps its data at "../secret"'),
    "external-in-branch": (UnsafeModel, r'"w" keeps its data at "../secret"'),
    "external-offset-beyond": (InvalidModel, r'"w" ends at byte 4,112, past the end of .*weights.bin'),
    "external-length-beyond": (InvalidModel, r'"w" ends at byte 72, past the end of .*weights.bin'),
    "external-length-wrong": (InvalidModel, "w external data size mismatch"),
    "external-offset-negative": (InvalidModel, '"w" has a negative offset or length'),
    "terabyte-initializer": (InvalidModel, "Initializer 'w' declares a size of 1099511627776 bytes"),
    "deep-ifs": (InvalidModel, "nested deeper than an ONNX file may be"),
    "many-nodes": (LimitExceeded, "has 60,000 nodes; the limit is 50,000; raise --max-nodes"),
}

# Models that load: the limits, the shape of each input, and what the error of running them must say.
HUNGRY: dict[str, tuple[Limits, tuple[int, ...] | None, str]] = {
    "infinite-loop": (
        Limits(seconds=4),
        None,
        r"one run of the model \(it holds Loop nodes\) did not finish within 4 s; raise --max-seconds",
    ),
    "growing-loop": (Limits(seconds=60, memory_bytes=700 << 20), None, r"\(it holds Loop nodes\) .* memory"),
    "terabyte": (LIMITS, None, "needs more memory than the limit allows; raise --max-memory"),
    "terabyte-by-shape": (LIMITS, (4,), "needs more memory than the limit allows; raise --max-memory"),
    "terabyte-by-value": (LIMITS, None, "needs more memory than the limit allows; raise --max-memory"),
}


def the_error(action: Callable[[], object]) -> ChrionError:
    """The one error that `action` ends in; it has one line and hides what it came from."""
    with pytest.raises(ChrionError) as caught:
        action()
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 800
    for noise in ("ONNXRuntimeError", "onnxruntime_src", "std::", "Traceback"):
        assert noise not in text
    assert caught.value.__cause__ is None
    return caught.value


def test_every_bad_model_is_here() -> None:
    assert REFUSED.keys() | HUNGRY.keys() == BAD_MODELS.keys()


@pytest.fixture(scope="module")
def child() -> Iterator[ModelWorker]:
    """A process under limits, as `normalise` takes one, but one for all models."""
    with ModelWorker(LIMITS.memory) as worker:
        yield worker


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused(bad_models: dict[str, Path], tmp_path: Path, child: ModelWorker, name: str) -> None:
    kind, words = REFUSED[name]
    path = bad_models[name]
    error = the_error(lambda: child.call(_normalise, path, tmp_path, LIMITS, seconds=LIMITS.seconds, what="loading"))
    assert type(error) is kind
    assert str(error).startswith(f"{path}: ")
    assert re.search(words, str(error))


@pytest.mark.parametrize("name", HUNGRY)
def test_is_stopped_when_it_runs(bad_models: dict[str, Path], tmp_path: Path, name: str) -> None:
    limits, shape, words = HUNGRY[name]
    normalise(bad_models[name], tmp_path, LIMITS)
    graph = Graph.load(tmp_path)
    specs = [InputSpec(name=given, shape=shape) for given in graph.inputs if shape is not None]
    (shapes,) = buckets(graph, specs)
    error = the_error(lambda: observe(graph, sample(graph.inputs, shapes, {}), limits))
    assert isinstance(error, ModelError)
    assert re.search(words, str(error))


@pytest.mark.parametrize("path", ["missing.onnx", "."])
def test_a_path_that_is_no_file(tmp_path: Path, path: str) -> None:
    error = the_error(lambda: normalise(tmp_path / path, tmp_path / "made"))
    assert str(error).startswith(str(tmp_path / path))
