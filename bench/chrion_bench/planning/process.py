"""One measurement in a process of its own, so that its peak memory and its clock are its own."""

import json
import os
import resource
import subprocess
import sys
from typing import Any


class Failed(Exception):
    """The process ended without a result; the message is the last that it said."""


def in_own_process(module: str, *arguments: str) -> dict[str, Any]:
    """The JSON data that `python -m module arguments` prints. Raises Failed."""
    # Others break ties in the order of sets of strings: the same one every time.
    settled = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], env=settled, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Failed((done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1])
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def peak_bytes() -> int:
    """The most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
