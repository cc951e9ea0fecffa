"""A steady load on a served model: a client that keeps asking, and remembers every answer that it did not get."""

import http.client
import json
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class SteadyLoad:
    """Asks at an even rate, over connections that it keeps as long as the server does, and checks each answer.

    A request is sent once: whatever goes wrong with it is a failure, as it is for a client that does not try again.
    """

    def __init__(
        self, host: str, model: str, inputs: Mapping[str, Array], outputs: list[Mapping[str, Array]], rate: float = 20.0
    ) -> None:
        """`host`: where port 80 answers. `outputs`: the right answers, one of which each answer must be close to."""
        self.answers = 0
        self.failures: list[str] = []
        self._host, self._path, self._rate = host, f"/v2/models/{model}/infer", rate
        self._outputs = outputs
        self._body = json.dumps({"inputs": [_tensor(name, value) for name, value in inputs.items()]})
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        connection = http.client.HTTPConnection(self._host, 80, timeout=30)
        due = time.monotonic()
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            due = max(due + 1 / self._rate, time.monotonic())
            try:
                connection.request("POST", self._path, self._body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                self._check(answer.status, answer.read())
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{time.strftime('%X')} {type(error).__name__}: {error}")
                connection.close()

    def _check(self, status: int, body: bytes) -> None:
        if status != 200:
            self.failures.append(f"{time.strftime('%X')} {status}: {body[:200]!r}")
            return
        given = {tensor["name"]: np.asarray(tensor["data"]) for tensor in json.loads(body)["outputs"]}
        if any(_close(given, right) for right in self._outputs):
            self.answers += 1
        else:
            self.failures.append(f"{time.strftime('%X')} a wrong answer")


def _tensor(name: str, value: Array) -> dict[str, Any]:
    datatype = {"float32": "FP32", "int64": "INT64"}[str(value.dtype)]
    return {"name": name, "shape": list(value.shape), "datatype": datatype, "data": value.ravel().tolist()}


def _close(given: Mapping[str, Array], right: Mapping[str, Array]) -> bool:
    return all(np.allclose(given[name], value.ravel(), rtol=1e-3, atol=1e-4) for name, value in right.items())
