"""The operator as a process of its own, which tests end as a machine would: by signals."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.waiting import wait_until


class OperatorProcess:
    """`python -m chrion_operator`, with nothing in its environment but what it is given."""

    def __init__(self, kubeconfig: Path, log: Path, environment: Mapping[str, str]) -> None:
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "chrion_operator"],
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": os.environ.get("HOME", "/"),
                    "KUBECONFIG": str(kubeconfig),
                    "PYTHONUNBUFFERED": "1",
                    **environment,
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def words(self) -> str:
        """What it has said so far."""
        return self.log.read_text(errors="replace")

    def running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL: it gets to do nothing more."""
        self._process.kill()
        self._process.wait()

    def terminate(self, deadline: float = 60) -> int:
        """SIGTERM, as a Deployment that is scaled down; its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(deadline)

    def wait_for_words(self, words: str) -> None:
        """Until it has said `words`; the test fails with all that it said where it ends before."""

        def said() -> bool:
            if words in self.words():
                return True
            if not self.running():
                pytest.fail(f"the operator ended with {self._process.returncode}:\n{self.words()}")
            return False

        wait_until(said, f"the operator's saying {words!r}; it said:\n{self.words()}")
