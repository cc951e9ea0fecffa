"""A small model, with and without external data, servers to fetch it from, and names that resolve as a test says."""

import asyncio
import os
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from onnx import TensorProto, helper, numpy_helper

from chrion_runtime.fetch import Allowed, Fetched, Patience, Wanted, fetch
from tests.support.file_server import FileServer

SIZE = 1 << 19


@pytest.fixture(scope="session")
def content() -> bytes:
    """An ONNX file of 2 MiB."""
    return build({}).SerializeToString()


@pytest.fixture
def tiny() -> bytes:
    """An ONNX file of some hundred bytes."""
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value], [output])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]).SerializeToString()


@pytest.fixture
def server(content: bytes) -> Iterator[FileServer]:
    with FileServer({"/models/model.onnx": content}) as running:
        yield running


Fetch = Callable[..., Fetched]


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "model" / "model.onnx"


@pytest.fixture
def run(output: Path) -> Fetch:
    """`run(uri, allow=…)`: fetch to `output`, at first with little patience."""

    def fetched(
        uri: str,
        allow: Sequence[str] = ("127.0.0.1",),
        environment: Mapping[str, str] | None = None,
        resolver: dict[str, list[str]] | None = None,
        **wanted: Any,
    ) -> Fetched:
        async def work() -> Fetched:
            stub = None if resolver is None else StubResolver(resolver)
            given = {"patience": Patience(2, 0.01), **wanted}
            return await fetch(Wanted(uri, output, allowed=Allowed.of(allow), **given), environment or {}, stub)

        return asyncio.run(work())

    return fetched


@pytest.fixture
def left(output: Path) -> Callable[[], list[str]]:
    """The files that there are where the model is to be, hidden ones too."""

    def names() -> list[str]:
        folder = output.parent
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())

    return names


class StubResolver(AbstractResolver):
    """Names resolve to the addresses given for them; to the next of several each time they are asked for."""

    def __init__(self, names: Mapping[str, list[str]]) -> None:
        self._names = {name: list(answers) for name, answers in names.items()}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        answers = self._names.get(host)
        if not answers:
            raise OSError(None, f"no address for {host}")
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in answer.split(",")
        ]

    async def close(self) -> None:
        """Nothing is open."""


def build(external: Mapping[str, str]) -> onnx.ModelProto:
    """A model of two tensors; `external` names the file that keeps one's data."""
    tensors = []
    for name in ("weights", "bias"):
        tensor = numpy_helper.from_array(np.arange(SIZE // 2, dtype=np.float32), name)
        if name in external:
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value=external[name])
        tensors.append(tensor)
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    nodes = [helper.make_node("Add", ["x", "weights"], ["y"]), helper.make_node("Add", ["y", "bias"], ["z"])]
    outputs = [helper.make_tensor_value_info("z", TensorProto.FLOAT, [SIZE // 2])]
    graph = helper.make_graph(nodes, "g", [value], outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


@pytest.fixture
def model_with_data() -> Callable[[Mapping[str, str]], bytes]:
    """`model_with_data({"weights": "w.bin"})`: an ONNX file that keeps tensors in other files."""
    return lambda external: build(external).SerializeToString()


@pytest.fixture
def data() -> bytes:
    """What such a file holds."""
    return np.arange(SIZE // 2, dtype=np.float32).tobytes()


@pytest.fixture
def certified(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS with a certificate that nobody vouches for, and the certificate."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [*command, *name, "-keyout", key, "-out", certificate, "-days", "2"], check=True, capture_output=True
    )
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    return tls, certificate


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_", "HF_", "HTTP_")):
            monkeypatch.delenv(name)
