"""What the smaller benches share: their options, where figures came from, and the page beside them."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from chrion_bench.aims import Aim
from chrion_graph.files import write_aside

RESULTS = Path(__file__).resolve().parents[1] / "results"


def parser(name: str, description: str | None, rounds: int) -> argparse.ArgumentParser:
    """The options of the bench `name`, which gives each contender `rounds` turns by default."""
    found = argparse.ArgumentParser(prog=f"python -m chrion_bench.{name}", description=description)
    found.add_argument("--rounds", type=int, default=rounds, help="turns that each contender takes")
    found.add_argument("--output", type=Path, help="where to write the figures; default: bench/results")
    found.add_argument("--quick", action="store_true", help="one model, a moment, nothing written: does it run?")
    return found


def write(report: Mapping[str, Any], output: Path, page: Callable[[Mapping[str, Any]], str]) -> None:
    """Write the figures, and the page that shows them."""
    write_aside(output, json.dumps(report, indent=1) + "\n")
    write_aside(output.with_suffix(".md"), page(report))


def tell(aims: Sequence[Aim]) -> None:
    """Print what was reached of each aim."""
    for aim in aims:
        print(f"{aim.verdict}: {aim.text}: {aim.value}")


def origin(report: Mapping[str, Any]) -> str:
    """When, at which commit, with what and on which system a report was measured, as the start of a sentence."""
    versions = ", ".join(f"{name} {found}" for name, found in report["versions"].items() if found)
    commit = report["commit"] or "unknown"
    return f"Measured on {report['date']} at commit {commit}: {versions}; {report['machine']['system']}."
