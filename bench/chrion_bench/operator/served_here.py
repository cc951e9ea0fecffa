"""NSNet2 in real pods on the one-node cluster: what the benches of answers and of objectives have in common."""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from chrion_bench.operator.place import cluster, namespace, operator
from chrion_models import real
from tests.e2e import images
from tests.e2e.model_server import NODE_ADDRESS, ModelServer
from tests.e2e.served import Served
from tests.support.operator import OperatorProcess

NAME = "nsnet2"
SHAPE = (1, 50, 161)
RESOURCES = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "256Mi"}}
"""One lane: the other core is the cluster's own."""


@dataclass(frozen=True)
class Place:
    """NSNet2 before it is applied, the operator that will serve it, an input, and the right answer to it."""

    model: Served
    operator: OperatorProcess
    value: npt.NDArray[Any]
    answer: npt.NDArray[Any]


@contextmanager
def nsnet2(folder: Path, in_namespace: str) -> Iterator[Place]:
    """A cluster with all that NSNet2 needs to be served."""
    where = cluster()
    images.import_image(folder)
    certificates = folder / "certificates"
    certificates.mkdir()
    folder.chmod(0o755)
    server = ModelServer(NODE_ADDRESS, certificates)
    path = real.MODELS_DIR / "nsnet2.onnx"
    uri = server.add(path.name, path.read_bytes())
    spec = {"inputs": [{"name": "input", "shapes": [list(SHAPE)]}], "runtime": {"resources": RESOURCES}}
    environment = {"CHRION_FETCH_ALLOW": NODE_ADDRESS, **images.settings(server.certificate)}
    value = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    answer = np.asarray(session.run(["output"], {"input": value})[0])
    with namespace(where, in_namespace), operator(where, environment) as process:
        model = Served(where, in_namespace, NAME, uri, **spec)
        try:
            yield Place(model, process, value, answer)
        finally:
            model.delete()
            server.close()


def infer(host: str, value: npt.NDArray[Any]) -> bool:
    """Whether one request is answered with status 200."""
    tensor = {"name": "input", "shape": [*value.shape], "datatype": "FP32", "data": value.ravel().tolist()}
    connection = http.client.HTTPConnection(host, 80, timeout=5)
    try:
        connection.request("POST", f"/v2/models/{NAME}/infer", json.dumps({"inputs": [tensor]}))
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
