"""External data comes from the model's folder, and stays in it."""

import hashlib
from pathlib import Path

import pytest

from chrion_graph.errors import InvalidModel, LimitExceeded, UnsafeModel
from chrion_graph.load import digest
from chrion_runtime.fetch import DigestMismatch, ModelNotFound, ModelTooLarge
from tests.support.bad_models import BAD_MODELS
from tests.support.file_server import cut

PATH = "/models/model.onnx"
NAMES = {"weights": "w.bin", "bias": "more/the bias.bin"}


@pytest.fixture
def served(server, model_with_data, data):
    server.files[PATH] = model_with_data(NAMES)
    server.files["/models/w.bin"] = server.files["/models/more/the bias.bin"] = data
    return server


def test_is_fetched_too(served, run, output, left, data):
    fetched = run(f"{served.url(PATH)}?sig=1")
    assert left() == ["model.onnx", "more/the bias.bin", "w.bin"]
    assert (output.parent / "more" / "the bias.bin").read_bytes() == data
    assert fetched.files == ("more/the bias.bin", "w.bin")
    assert fetched.size == len(served.files[PATH]) + 2 * len(data)
    assert fetched.sha256 == digest(output)
    assert run(served.url(PATH), sha256=fetched.sha256).kept


def test_is_part_of_the_digest(served, run, left):
    with pytest.raises(DigestMismatch) as caught:
        run(served.url(PATH), sha256=hashlib.sha256(served.files[PATH]).hexdigest())
    assert left() == []
    assert len(served.requests) == 3, caught


def test_goes_on_where_the_connection_was_lost(served, run, output, data):
    served.faults["/models/w.bin"] = [cut(500_000)]
    run(served.url(PATH))
    assert (output.parent / "w.bin").read_bytes() == data


def test_counts_within_the_limit(served, run, left, data):
    with pytest.raises(ModelTooLarge, match=r"w\.bin"):
        run(served.url(PATH), most_bytes=len(served.files[PATH]) + 2 * len(data) - 1)
    assert left() == []


def test_that_is_missing(served, run, left):
    del served.files["/models/w.bin"]
    with pytest.raises(ModelNotFound, match=r"/models/w\.bin"):
        run(served.url(PATH))
    assert left() == []


def test_that_is_in_more_files_than_the_limit(server, run, left):
    path = "/models/many.onnx"
    server.files[path] = BAD_MODELS["external-many"].build(Path())
    with pytest.raises(LimitExceeded, match=r"many\.onnx: keeps its data in more than 4,096 files"):
        run(server.url(path))
    assert len(server.requests) == 1
    assert left() == []


@pytest.mark.parametrize("name", ["/etc/passwd", "../../escape.bin", "a/../../b", "", ".", "a\0b", "model.onnx"])
def test_that_would_lie_elsewhere(server, run, left, model_with_data, name):
    server.files[PATH] = model_with_data({"weights": name})
    with pytest.raises(UnsafeModel, match=r"model\.onnx"):
        run(server.url(PATH))
    assert len(server.requests) == 1
    assert left() == []


@pytest.mark.parametrize("content", [b"", b"<html>sign in</html>", bytes(1000)])
def test_what_is_no_model(server, run, left, content):
    server.files[PATH] = content
    with pytest.raises(InvalidModel, match=r"http://127\.0\.0\.1:\d+/models/model\.onnx: is not an ONNX file"):
        run(server.url(PATH))
    assert left() == []
