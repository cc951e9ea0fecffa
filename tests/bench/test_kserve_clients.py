"""KServe's clients, REST and gRPC, work unchanged; they live in the environment that the bench makes for its server."""

import json
import subprocess
from pathlib import Path

import pytest

from chrion_bench.serving.process import ServerFailed
from chrion_bench.serving.venvs import python_of
from tests.runtime.serve.conftest import Model, serve
from tests.support.datatypes import VALUES

ASK = Path(__file__).parents[1] / "support" / "kserve_client.py"


@pytest.fixture
def python():
    """The Python that has KServe."""
    try:
        return python_of("kserve")
    except ServerFailed as error:
        pytest.skip(str(error))


@pytest.mark.slow
def test_both_get_what_was_sent(python):
    ports = {datatype: (datatype, (None, None)) for datatype in VALUES}
    with serve(Model(lambda **inputs: inputs, ports, ports, name="echo"), grpc_port=0) as running:
        command = [python, "-P", ASK, running.where.url, running.where.grpc_address]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for way in ("rest", "grpc"):
        assert found[way]["live"]
        assert found[way]["ready"]
        assert found[way]["model"]
        assert not found[way]["unknown"]
        assert found[way]["answer"]["FP32"] == [[1.0, 2.5, -3.0]]
        assert found[way]["answer"]["INT64"] == [[1, 2**40, -3]]
        assert found[way]["answer"]["BYTES"] == [["a", "née", ""]]
