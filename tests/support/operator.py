"""The operator as a process of its own, which tests end as a machine would: by signals."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import wait_until


class OperatorProcess:
    """`python -m chrion_operator`, with nothing in its environment but what it is given."""

    def __init__(
        self, kubeconfig: Path, log: Path, environment: Mapping[str, str], identity: Sequence[str] = ()
    ) -> None:
        """`identity`: options of setpriv, for another user than ours."""
        self.log = log
        self._health, self._metrics = _free_ports(2)
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                # It ends with us, even where we are killed.
                ["setpriv", "--pdeathsig", "KILL", *identity, sys.executable, "-m", "chrion_operator"],
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": os.environ.get("HOME", "/"),
                    "KUBECONFIG": str(kubeconfig),
                    "PYTHONUNBUFFERED": "1",
                    "CHRION_HEALTH_PORT": str(self._health),
                    "CHRION_METRICS_PORT": str(self._metrics),
                    **environment,
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def words(self) -> str:
        """What it has said so far."""
        return self.log.read_text(errors="replace")

    def health(self) -> dict[str, Any]:
        """What it answers about itself. Raises OSError where it does not."""
        answer: dict[str, Any] = json.loads(self._get(self._health, "healthz"))
        return answer

    def ready(self) -> dict[str, Any]:
        """The same, once it knows what there is. Raises OSError before."""
        answer: dict[str, Any] = json.loads(self._get(self._health, "readyz"))
        return answer

    def metrics(self) -> str:
        """Its metrics, as Prometheus reads them."""
        return self._get(self._metrics, "metrics").decode()

    def wait_until_ready(self, standby: bool = False) -> None:
        """Until it leads, or with `standby` until it knows all there is.

        The test fails with all it said where it ends before.
        """

        def ready() -> bool:
            if not self.running:
                pytest.fail(f"the operator ended with {self._process.returncode}:\n{self.words()}")
            if standby:
                return bool(self.ready())
            return self.health().get("leading") is True

        wait_until(ready, "the operator's being ready", ignore=(OSError, KeyError))

    def wait_for_words(self, words: str) -> None:
        """Until it has said `words`."""
        wait_until(lambda: words in self.words(), f"the operator's saying {words!r}")

    def kill(self) -> None:
        """SIGKILL: it gets to do nothing more."""
        self._process.kill()
        self._process.wait()

    def terminate(self, deadline: float = 60) -> int:
        """SIGTERM, as for a pod that is deleted; its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(deadline)

    def _get(self, port: int, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as answer:
            return bytes(answer.read())


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [open_socket.getsockname()[1] for open_socket in sockets]
    for open_socket in sockets:
        open_socket.close()
    return ports
