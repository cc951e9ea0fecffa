"""Measure the operator on a real Kubernetes: `make bench-operator`.

Runs inside tests/cluster/kubernetes/run.sh, `many` and `tenants` on a control plane alone, the others with its node.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from chrion_bench import machine
from chrion_bench.operator.answer import answer
from chrion_bench.operator.many import many
from chrion_bench.operator.objective import objective
from chrion_bench.operator.place import server_version
from chrion_bench.operator.summary import aims, page
from chrion_bench.operator.tenants import tenants
from chrion_bench.workplace import workplace
from chrion_graph.files import write_aside

RESULTS = Path(__file__).resolve().parents[2] / "results"
FORMAT = 1
MODELS, QUICK_MODELS = 500, 20
EDITS, QUICK_EDITS = 10, 2

Say = Callable[[str], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write the page, and say whether the aims are met; an exception where something cannot be measured."""
    options = _parser().parse_args(arguments)
    output: Path = options.output or RESULTS / f"operator-{machine.file_stem()}.json"
    report = _begun(output)
    for name in options.only:
        with workplace() as folder:
            report[name] = _SCENARIOS[name](folder, options.quick)
            if not options.quick:
                write_aside(output, json.dumps(report, indent=1) + "\n")
                write_aside(output.with_suffix(".md"), page(report))
    for aim in aims({name: report[name] for name in options.only}):
        print(f"{aim.verdict}: {aim.text}: {aim.value}")
    return 0


def _many(_folder: Path, quick: bool) -> Any:
    return many(QUICK_MODELS if quick else MODELS, _say)


def _tenants(_folder: Path, quick: bool) -> Any:
    return tenants(QUICK_MODELS if quick else MODELS, _say)


def _answer(folder: Path, _quick: bool) -> Any:
    return answer(folder, _say)


def _objective(folder: Path, quick: bool) -> Any:
    return objective(folder, QUICK_EDITS if quick else EDITS, _say)


_SCENARIOS: dict[str, Callable[[Path, bool], Any]] = {
    "many": _many,
    "tenants": _tenants,
    "answer": _answer,
    "objective": _objective,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chrion_bench.operator", description=__doc__)
    parser.add_argument("--only", action="append", required=True, choices=[*_SCENARIOS], help="what to measure")
    parser.add_argument("--output", type=Path, help="where to write the figures; default: bench/results")
    parser.add_argument("--quick", action="store_true", help="less of it, nothing written: does it run?")
    return parser


def _begun(output: Path) -> dict[str, Any]:
    """What was measured before stays, for each needs a cluster of its own."""
    described = machine.describe()
    described["versions"] |= {"kubernetes client": version("kubernetes")}
    about = {"format": FORMAT, "date": time.strftime("%Y-%m-%d"), **described, "kubernetes": server_version()}
    if output.exists():
        kept: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
        if kept.get("format") == FORMAT:
            return {**kept, **about}
    return about


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
