"""Sequences of a real stateful model, over servers as they are started: Silero VAD, chunk by chunk."""

import re
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http as triton

import chrion
from chrion_api import InputSpec
from chrion_runtime.servable import SequenceStep
from tests.support.plans import Planned

SHAPES = {"input": (1, 576), "state": (2, 1, 128), "sr": ()}
CHUNKS = 8
PAGE = (Path(__file__).parents[2] / "docs" / "sequences.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def silero(models_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("silero")
    planned = Planned(models_dir / "silero_vad.onnx", folder, SHAPES)
    planned.file = planned.write(folder / "plan.json")
    return planned


@pytest.fixture(scope="module")
def replicas(chrion, serving, silero):
    """Two servers of the model, as two pods would be."""
    options = ["--plan", silero.file, "--state", "stateN=state", "--value", "sr=16000", "--max-sequences", "3"]
    with ExitStack() as stack:
        yield [stack.enter_context(serving(chrion, "serve", silero.path, *options)) for _ in range(2)]


def voice(seed):
    return np.random.default_rng(seed).uniform(-0.3, 0.3, (CHUNKS, 1, 576)).astype(np.float32)


def send(server, key, chunk, start=False, end=False):
    tensors = [
        triton.InferInput("input", [1, 576], "FP32").set_data_from_numpy(chunk),
        triton.InferInput("sr", [], "INT64").set_data_from_numpy(np.array(16000)),
    ]
    with triton.InferenceServerClient(server.address) as client:
        answer = client.infer(server.name, tensors, sequence_id=key, sequence_start=start, sequence_end=end)
    assert [output["name"] for output in answer.get_response()["outputs"]] == ["output"]
    return answer.as_numpy("output")


@pytest.fixture(scope="module")
def expected(silero, reference):
    """What the model answers when its state is passed by hand."""

    def answers(chunks):
        state, found = np.zeros(SHAPES["state"], np.float32), []
        for chunk in chunks:
            answer = reference(silero.path, {"input": chunk, "state": state, "sr": np.array(16000)})
            found.append(answer["output"])
            state = answer["stateN"]
        return found

    return answers


def test_a_stream_in_chunks(replicas, expected):
    streams = {key: voice(seed) for seed, key in enumerate((7, "a call"))}
    found = {key: [] for key in streams}
    for position in range(CHUNKS):
        for key, chunks in streams.items():
            found[key].append(send(replicas[0], key, chunks[position], start=position == 0))
    for key, chunks in streams.items():
        np.testing.assert_allclose(found[key], expected(chunks), rtol=1e-3, atol=1e-4)


def test_a_misrouted_request_is_a_conflict_and_the_stream_goes_on_where_it_is(replicas, expected):
    here, elsewhere = replicas
    chunks = voice(5)
    found = [send(here, 11, chunks[0], start=True)]
    with pytest.raises(triton.InferenceServerException) as caught:
        send(elsewhere, 11, chunks[1])
    assert caught.value.status() == "409"
    assert "it was not started here; another replica may have it; start again" in caught.value.message()
    found += [send(here, 11, chunk) for chunk in chunks[1:]]
    np.testing.assert_allclose(found, expected(chunks), rtol=1e-3, atol=1e-4)
    # Begun again at the other one, it goes its own way there.
    again = [send(elsewhere, 11, chunk, start=not position) for position, chunk in enumerate(chunks)]
    np.testing.assert_allclose(again, found, rtol=1e-6)


def test_more_sequences_than_are_kept(replicas):
    server = replicas[1]
    for key in range(1, 5):
        send(server, key, voice(key)[0], start=True)
    with pytest.raises(triton.InferenceServerException, match="longest time when more than 3 were started") as caught:
        send(server, 1, voice(1)[1])
    assert caught.value.status() == "409"
    send(server, 4, voice(4)[1], end=True)


def test_python_face(silero, expected, tmp_path, monkeypatch):
    monkeypatch.setenv("CHRION_CACHE", str(tmp_path))
    session = chrion.Session(
        silero.path, silero.file, inputs=[InputSpec(name="sr", value=16000)], state={"stateN": "state"}
    )
    chunks = voice(3)
    found = [
        session.run({"input": chunk, "sr": np.array(16000)}, sequence=SequenceStep("s", start=not position))["output"]
        for position, chunk in enumerate(chunks)
    ]
    session.close()
    np.testing.assert_allclose(found, expected(chunks), rtol=1e-3, atol=1e-4)


def test_the_example_of_a_stream(chrion, serving, silero, capsys):
    block = next(
        one for one in re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE) if "stream" in one
    )
    options = ["--plan", silero.file, "--state", "stateN=state", "--name", "silero-vad", "--grpc-port", "0"]
    with serving(chrion, "serve", silero.path, *options) as server:
        address = server.process.wait_for("gRPC on ").split()[-1]
        assert "localhost:8001" in block
        exec(compile(block.replace("localhost:8001", address), "docs/sequences.md", "exec"), {})
    assert capsys.readouterr().out.count("[[0.") == 8
