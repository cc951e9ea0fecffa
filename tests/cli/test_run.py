"""`chrion run`: from a ChrionModel file to answers over HTTP, for the real models and for real clients."""

import hashlib
import json
import shutil
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http as triton
import yaml

from chrion_models.spectrogram import nsnet2_input

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def write(tmp_path_factory):
    """Writes a ChrionModel into a file of its own."""
    folder = tmp_path_factory.mktemp("chrionmodels")

    def file(value):
        path = folder / f"{len(list(folder.iterdir()))}.yaml"
        path.write_text(yaml.safe_dump(value))
        return path

    return file


@pytest.fixture(scope="module")
def example(models_dir, write):
    """`example(name)`: an example whose URI leads to the real model, planned in a hurry, for one lane."""

    def copy(name):
        value = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())
        value["spec"]["model"]["uri"] = f"file://{models_dir / name.replace('-', '_')}.onnx"
        value["spec"] |= {"planner": {"timeout": "1s"}, "devices": {"gpuResource": "", "cpuLanes": 1}}
        return write(value)

    return copy


@pytest.fixture(scope="module")
def small(write, other_model):
    """`small(**model)`: a ChrionModel of a small model, on one lane; `model` updates spec.model."""

    def build(**model):
        spec = {
            "model": {"uri": f"file://{other_model}", **model},
            "inputs": [{"name": "input", "shape": [4, 1, 128]}],
            "devices": {"gpuResource": "", "cpuLanes": 1},
        }
        head = {"apiVersion": "chrion.dev/v1alpha1", "kind": "ChrionModel", "metadata": {"name": "small"}}
        return write({**head, "spec": spec})

    return build


@pytest.fixture(scope="module")
def servers(chrion, serving, example):
    """The two examples, planned and served."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(serving(chrion, "run", "-f", example(name))) for name in ("nsnet2", "silero-vad")
        }


@pytest.fixture(scope="module")
def small_server(chrion, serving, small):
    """The small model, planned and served."""
    with serving(chrion, "run", "-f", small()) as server:
        yield server


def vad_inputs(seed):
    random = np.random.default_rng(seed)
    return {
        "input": random.uniform(-0.3, 0.3, (1, 576)).astype(np.float32),
        "state": random.uniform(-1, 1, (2, 1, 128)).astype(np.float32),
        "sr": np.array(16000, np.int64),
    }


def inputs(name, seed):
    if name == "silero-vad":
        return vad_inputs(seed)
    # Frames of both buckets, and of none.
    return {"input": nsnet2_input((50, 200, 77)[seed % 3], seed)}


@pytest.fixture
def original(models_dir):
    """The model of an example."""
    return lambda name: models_dir / f"{name.replace('-', '_')}.onnx"


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("name", ["nsnet2", "silero-vad"])
def test_triton_client(servers, original, name, binary, ask, reference, assert_equal):
    for seed in range(3):
        feeds = inputs(name, seed)
        assert_equal(ask(servers[name], feeds, binary), reference(original(name), feeds))


@pytest.mark.parametrize("name", ["nsnet2", "silero-vad"])
def test_curl(servers, original, name, tmp_path, reference, assert_equal):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    feeds = inputs(name, 0)
    datatypes = {"float32": "FP32", "int64": "INT64"}
    tensors = [
        {
            "name": key,
            "shape": list(array.shape),
            "datatype": datatypes[str(array.dtype)],
            "data": array.ravel().tolist(),
        }
        for key, array in feeds.items()
    ]
    body = tmp_path / "request.json"
    body.write_text(json.dumps({"inputs": tensors}))
    command = ["curl", "--silent", "--show-error", "--fail", "--data", f"@{body}", f"{servers[name].url}/infer"]
    answer = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    found = {
        tensor["name"]: np.array(tensor["data"], np.float32).reshape(tensor["shape"]) for tensor in answer["outputs"]
    }
    assert_equal(found, reference(original(name), feeds))


def test_state_goes_from_request_to_request(servers, original, ask, reference):
    """A stream of chunks, each with the state that the answer before it gave."""
    server, model = servers["silero-vad"], original("silero-vad")
    state = wanted = np.zeros((2, 1, 128), np.float32)
    for seed in range(5):
        feeds = vad_inputs(seed)
        state = ask(server, {**feeds, "state": state})["stateN"]
        wanted = reference(model, {**feeds, "state": wanted})["stateN"]
    np.testing.assert_allclose(state, wanted, rtol=1e-3, atol=1e-3)


def test_a_sequence_keeps_the_state_that_the_chrionmodel_names(servers, original, reference):
    """The same stream without passing state: the server does."""
    server, model = servers["silero-vad"], original("silero-vad")
    state = np.zeros((2, 1, 128), np.float32)
    with triton.InferenceServerClient(server.address) as client:
        for seed in range(5):
            feeds = vad_inputs(seed)
            wanted = reference(model, {**feeds, "state": state})
            state = wanted["stateN"]
            tensors = [
                triton.InferInput(name, feeds[name].shape, datatype).set_data_from_numpy(feeds[name])
                for name, datatype in (("input", "FP32"), ("sr", "INT64"))
            ]
            answer = client.infer(server.name, tensors, sequence_id="call", sequence_start=seed == 0)
            np.testing.assert_allclose(answer.as_numpy("output"), wanted["output"], rtol=1e-3, atol=1e-3)
            assert answer.as_numpy("stateN") is None


def test_shows_its_buckets(servers):
    assert [bucket["inputs"]["input"] for bucket in servers["nsnet2"].plans()] == [[1, 50, 161], [1, 200, 161]]


def test_second_start_takes_the_plan_from_the_cache_and_a_taken_port_is_said(chrion, small_server, small, refusal):
    assert "small: planned:" in small_server.process.err
    port = small_server.address.rpartition(":")[2]
    done = chrion("run", "-f", small(), "--port", port, "--metrics-port", "-1")
    assert f"cannot listen on 127.0.0.1:{port}: the port is in use" in refusal(done)
    assert "small: already planned" in done.stderr
    assert "profiling" not in done.stderr


def test_model_option_stands_in_for_a_uri_out_of_reach(chrion, serving, small_server, small, other_model, tmp_path):
    plan = tmp_path / "plan.json"
    with serving(chrion, "run", "-f", small(uri="s3://b/m.onnx"), "--model", other_model, "-o", plan) as server:
        assert "already planned" in server.process.err, "the same model by another way"
        assert plan.exists()


def test_uri_out_of_reach(quick, small, refusal):
    line = refusal(quick("run", "-f", small(uri="s3://bucket/m.onnx")))
    assert "spec.model.uri: s3://bucket/m.onnx" in line
    assert "--model" in line


def test_another_digest(quick, small, refusal):
    file = small(sha256="0" * 64)
    line = refusal(quick("run", "-f", file))
    assert f"{file}: spec.model.sha256" in line
    assert "0" * 64 in line


def test_pinned_digest_that_is_right(chrion, serving, small_server, small, other_model):
    digest = hashlib.sha256(other_model.read_bytes()).hexdigest()
    with serving(chrion, "run", "-f", small(sha256=digest)) as server:
        assert "already planned" in server.process.err


def test_killed_server_leaves_nothing_behind(chrion, small_server, small):
    before = {path: path.stat().st_mtime_ns for path in chrion.cache.rglob("*")}
    process = chrion.start("run", "-f", small(), "--port", "0", "--metrics-port", "-1")
    process.wait_for("serving on")
    process.popen.kill()
    assert process.end() == -signal.SIGKILL
    process.wait_for_no_survivors()
    assert {path: path.stat().st_mtime_ns for path in chrion.cache.rglob("*")} == before


def test_killed_while_planning(fresh_chrion, small):
    """The workers go with it, and the next start finds nothing that is half done."""
    process = fresh_chrion.start("run", "-f", small(), "--port", "0", "--metrics-port", "-1")
    process.wait_for("loading onnxruntime-default")
    process.popen.kill()
    assert process.end() == -signal.SIGKILL
    process.wait_for_no_survivors()
    assert not list(fresh_chrion.cache.glob("plans/*"))
    left = list(fresh_chrion.cache.rglob("*"))
    assert left
    assert not [path for path in left if path.name.startswith(".")]
