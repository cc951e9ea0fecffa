"""What `helm test` runs: waits until the test's ChrionModel is ready, infers over HTTP, and compares the answer.

Standard library alone: it runs in the operator's image, with the token of the test's ServiceAccount.
"""

import json
import math
import os
import socket
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HERE = Path(__file__).parent
ACCOUNT = Path(os.environ.get("SERVICE_ACCOUNT", "/var/run/secrets/kubernetes.io/serviceaccount"))
TOLERANCE = 1e-4


def main(namespace: str, name: str, seconds: float) -> None:
    """Infer with the model; ends with status 1 and one line where it does not answer as it should."""
    url = ready(namespace, name, time.monotonic() + seconds)
    request = json.loads((HERE / "request.json").read_text())
    expected = json.loads((HERE / "answer.json").read_text())
    answer = infer(f"{url}/v2/models/{name}/infer", request, namespace, name)
    got = {output["name"]: output["data"] for output in answer["outputs"]}
    for output, values in expected.items():
        close = [math.isclose(a, b, abs_tol=TOLERANCE) for a, b in zip(got[output], values, strict=True)]
        if not all(close):
            sys.exit(f"{output}: {len(close) - sum(close)} of {len(close)} values differ from ONNX Runtime's")
    print(f"inferred: {', '.join(f'{output} with {len(got[output])} values' for output in expected)}, all as expected")


def ready(namespace: str, name: str, deadline: float) -> str:
    """The model's URL once it is ready. Tells of every change of its conditions."""
    told: list[str] = []
    while time.monotonic() < deadline:
        status = kubernetes(f"/apis/chrion.dev/v1alpha1/namespaces/{namespace}/chrionmodels/{name}").get("status", {})
        conditions = status.get("conditions", [])
        lines = [f"{c['type']}={c['status']} {c['reason']}: {c.get('message', '')}".rstrip(": ") for c in conditions]
        for line in lines:
            if line not in told:
                print(line, flush=True)
        told = lines
        if any(c["type"] == "Ready" and c["status"] == "True" for c in conditions) and status.get("url"):
            return str(status["url"])
        if any(c["type"] == "Stalled" and c["status"] == "True" for c in conditions):
            sys.exit(f"{name} is stalled")
        time.sleep(1)
    sys.exit(f"{name} was not ready in time")


def infer(url: str, request: Any, namespace: str, name: str) -> Any:
    """The answer to a request; by the Service's address where the cluster has no DNS."""
    host = urlsplit(url).hostname or ""
    try:
        socket.getaddrinfo(host, None)
    except socket.gaierror:
        address = kubernetes(f"/api/v1/namespaces/{namespace}/services/{name}")["spec"]["clusterIP"]
        print(f"{host} cannot be resolved: using {address}")
        url = url.replace(host, address)
    body = json.dumps(request).encode()
    call = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(call, timeout=60) as response:
        return json.load(response)


def kubernetes(path: str) -> Any:
    """What the API server has at a path."""
    server = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
    token = (ACCOUNT / "token").read_text()
    call = urllib.request.Request(server + path, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(
        call, timeout=30, context=ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    ) as response:
        return json.load(response)


if __name__ == "__main__":
    try:
        main(os.environ["NAMESPACE"], os.environ["MODEL"], float(os.environ["SECONDS_TO_WAIT"]))
    except (urllib.error.URLError, OSError) as error:
        sys.exit(f"{error.__class__.__name__}: {error}")
