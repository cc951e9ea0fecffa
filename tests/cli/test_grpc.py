"""`chrion serve --grpc-port`: the same answers as over HTTP, and what is said where gRPC is not installed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException, np_to_triton_dtype


def grpc_address(server):
    return server.process.wait_for("gRPC on ").split()[-1]


def tensors(feeds):
    return [
        triton.InferInput(name, value.shape, np_to_triton_dtype(value.dtype)).set_data_from_numpy(value)
        for name, value in feeds.items()
    ]


def test_the_same_answers(chrion, serving, model, plan_file, case, case_inputs, reference, assert_equal):
    with (
        serving(chrion, "serve", model, "--plan", plan_file, "--name", "m", "--grpc-port", "0") as server,
        triton.InferenceServerClient(grpc_address(server)) as client,
    ):
        assert client.is_server_ready()
        assert client.is_model_ready("m")
        for seed in range(20):  # the first ones on a thread, the others on the event loop
            feeds = case_inputs(case, seed)
            expected = reference(model, feeds)
            answer = client.infer("m", tensors(feeds), client_timeout=60)
            assert_equal({name: answer.as_numpy(name) for name in expected}, expected)
        with pytest.raises(InferenceServerException, match="is missing"):
            client.infer("m", [])
        server.process.signal(signal.SIGTERM)
        assert server.process.end() == 0
        assert server.process.err == ""


def test_without_grpc_installed(model, plan_file, tmp_path: Path):
    (tmp_path / "grpc.py").write_text("raise ModuleNotFoundError(\"No module named 'grpc'\")\n")
    command = [Path(sys.executable).with_name("chrion"), "serve", model, "--plan", plan_file, "--port", "0"]
    found = subprocess.run(
        [*command, "--metrics-port", "-1", "--grpc-port", "0"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 2
    assert found.stderr.strip() == "chrion: gRPC needs the extra grpc: pip install 'chrion[grpc]'"


def test_off_by_default_and_then_not_even_imported():
    code = (
        "import sys; from chrion_runtime.serve.models.registry import ModelRegistry;"
        "from chrion_runtime.serve.options import ServerOptions;"
        "ModelRegistry([], ServerOptions()).close(1);"
        "assert not [name for name in sys.modules if name.split('.')[0] == 'grpc']"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
