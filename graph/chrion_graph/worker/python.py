"""Start Python in a process of its own, which can import what this one can."""

import os
import subprocess
import sys
from collections.abc import Mapping

from chrion_graph.worker.pipe import Pipe


def start_python(program: str, end: Pipe, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Run a program that is given this end of a pipe; started by path, and not as the user's main module again."""
    return subprocess.Popen(  # noqa: S603, our own program
        [sys.executable, "-c", program],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[end.fileno()],
        # The child must import what this process can import, wherever it got it from.
        env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
