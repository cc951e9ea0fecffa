"""What a run has found so far, a line of JSON each: a run can be broken off at any time, and goes on where it ended."""

import json
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from chrion.version import __version__
from chrion_bench.machine import commit
from chrion_runtime.devices.cpu import product, usable_cores

FORMAT = 1
PACKAGES = ("ortools", "highspy", "anrg-saga", "networkx", "numpy", "onnx")
_SAME = ("format", "commit", "seconds", "solvers")
"""Results that agree in these stand in one table."""

Data = dict[str, Any]


def describe(seconds: float, solvers: tuple[str, ...]) -> Data:
    """The first line of a run: commit, versions, machine, and how long each exact solver may take."""
    return {
        "format": FORMAT,
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit(),
        "seconds": seconds,
        "solvers": list(solvers),
        "machine": {"cpu": product(), "cores": usable_cores(), "system": platform.platform()},
        "versions": {
            "chrion": __version__,
            "python": platform.python_version(),
            **{name: found for name in PACKAGES if (found := _version(name))},
        },
    }


class Records:
    """The results of one commit and solver limit in a file that may hold others; written as they come."""

    def __init__(self, path: Path | None, about: Data) -> None:
        """Reads what the file holds of the same commit and limit; without a path nothing is read or written."""
        self.about = about
        self._path = path
        self._found: dict[tuple[str, str], Data] = {}
        self._headed = False
        if path is not None and path.exists():
            self._read(path)

    def _read(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            # A run was broken off while it wrote its last line.
            path.write_text(whole, encoding="utf-8")
        for line in map(json.loads, whole.splitlines()):
            if "table" not in line:
                self._headed = all(line.get(key) == self.about[key] for key in _SAME)
            elif self._headed:
                self._keep(line)

    def _keep(self, record: Data) -> None:
        self._found[record["table"], record["name"]] = record

    def add(self, table: str, record: Data) -> None:
        """One more result, with its `name`, or with its `error` where there is none."""
        line = {"table": table, **record}
        self._keep(line)
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lines = [line] if self._headed else [self.about, line]
        with self._path.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(each) + "\n" for each in lines))
        self._headed = True

    def results(self, table: str) -> list[Data]:
        """What was found, in the order in which it was."""
        return [record for (where, _), record in self._found.items() if where == table and "error" not in record]

    def failures(self) -> list[Data]:
        """What failed and has not been found since."""
        return [record for record in self._found.values() if "error" in record]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
