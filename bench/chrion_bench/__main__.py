"""Plan the suite's models and measure each plan against what people use: `python -m chrion_bench` (or `make bench`).

Every figure is a ratio against a named baseline; each contender runs alone in a process of its own, taken in turn.
What is done is written after each model, so that a run can be stopped at any time and resumed.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chrion_api import ChrionError, Duration
from chrion_bench import machine, speeds
from chrion_bench.aims import aims
from chrion_bench.measure import PLAN, measure
from chrion_bench.plots import plot
from chrion_bench.race import Effort
from chrion_bench.report import page
from chrion_bench.results import gain
from chrion_bench.suite import Entry, suite
from chrion_graph.files import write_aside
from chrion_runtime.devices.cpu import product, usable_cores

RESULTS = Path(__file__).resolve().parents[1] / "results"
FORMAT = 3

QUICK = ("silero_vad", "gru-bidirectional-l2-h64-s32-b1")
QUICK_EFFORT = Effort(rounds=4, plan_seconds=30)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a line a model, write the figures; 1 where a model failed."""
    options = _parser().parse_args(arguments)
    entries = suite()
    chosen = _chosen(entries, options)
    idle = options.idle.seconds if options.idle else 0.0
    output: Path = options.output or RESULTS / f"{machine.file_stem()}{'-idle' if idle else ''}.json"
    report = _resumed(output, idle) if options.resume and output.exists() else _begun(len(entries), idle)
    done = {item["model"] for item in report["results"]}
    report["failures"] = [item for item in report["failures"] if item["model"] not in {entry.name for entry in chosen}]
    effort = (QUICK_EFFORT if options.quick else Effort(rounds=options.rounds)).after_idle(idle)
    until = time.monotonic() + 60 * options.minutes
    left = [entry for entry in chosen if entry.name not in done]
    for place, entry in enumerate(left, 1):
        if time.monotonic() > until:
            print(f"{options.minutes:g} minutes are over; {len(left) - place + 1} models are left", flush=True)
            break
        print(f"{place}/{len(left)} {entry.name}: ", end="", flush=True)
        print(_one(entry, effort, report), flush=True)
        if not options.quick:
            _write(report, output)
    for aim in aims(report["results"]):
        print(f"{aim.verdict}: {aim.text}: {aim.value}")
    if not options.quick:
        _write(report, output)
        _draw(report, output)
    return 1 if report["failures"] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="chrion_bench", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="only models with this in the name")
    parser.add_argument("--rounds", type=_positive, default=Effort().rounds, help="turns that each contender takes")
    parser.add_argument(
        "--idle", type=Duration, metavar="TIME", help="do nothing for so long before each call, such as 5ms"
    )
    parser.add_argument("--quick", action="store_true", help="two models, few rounds, nothing written: does it run?")
    parser.add_argument("--output", type=Path, help="where to write the figures; default: bench/results")
    parser.add_argument("--resume", action="store_true", help="go on with what the output holds already")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no model after so many minutes")
    return parser


def _positive(text: str) -> int:
    rounds = int(text)
    if rounds < 2:
        raise argparse.ArgumentTypeError("at least 2 rounds")
    return rounds


def _chosen(entries: Sequence[Entry], options: argparse.Namespace) -> list[Entry]:
    only = options.only or (QUICK if options.quick else [""])
    return [entry for entry in entries if any(part in entry.name for part in only)]


def _begun(models: int, idle: float) -> dict[str, Any]:
    described = machine.describe()
    described["machine"]["speeds"] = speeds.measured(usable_cores())
    return {
        "format": FORMAT,
        "date": time.strftime("%Y-%m-%d"),
        **described,
        "idleSeconds": idle,
        "suite": models,
        "results": [],
        "failures": [],
    }


def _resumed(output: Path, idle: float) -> dict[str, Any]:
    """What the output holds. It must be of this machine, commit and idle time: others could not stand in one table."""
    report: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    now = machine.commit()
    if report.get("format") != FORMAT:
        sys.exit(f"error: {output} is of another format; start over, without --resume")
    if report["commit"] != now:
        sys.exit(f"error: {output} was measured at {report['commit']}, this is {now}; start over, without --resume")
    if (report["machine"]["cpu"], report["machine"]["cores"]) != (product(), usable_cores()):
        sys.exit(f"error: {output} was measured on another machine; start over, without --resume")
    if report["idleSeconds"] != idle:
        was = f"{report['idleSeconds'] * 1e3:g} ms"
        sys.exit(
            f"error: {output} was measured with {was} between calls, not {idle * 1e3:g}; start over, without --resume"
        )
    return report


def _one(entry: Entry, effort: Effort, report: dict[str, Any]) -> str:
    """Measure one model into the report; what to say of it."""
    began = time.monotonic()
    try:
        item = measure(entry, effort, report["machine"])
    except KeyboardInterrupt:
        raise
    except Exception as error:  # noqa: BLE001, one bad model must not end a run of hours
        text = str(error) if isinstance(error, ChrionError) else f"{type(error).__name__}: {error}"
        report["failures"].append({"model": entry.name, "family": entry.family, "error": text})
        return f"failed: {text}"
    report["results"].append(item)
    plan = item["contenders"][PLAN]
    return f"{item['plan']['name']} {plan['p50'] * 1e3:.3f} ms, ×{gain(item):.2f}, {time.monotonic() - began:.0f} s"


def _write(report: dict[str, Any], output: Path) -> None:
    write_aside(output, json.dumps(report, indent=1) + "\n")
    write_aside(output.with_suffix(".md"), page(report))


def _draw(report: dict[str, Any], output: Path) -> None:
    if not report["results"]:
        return
    try:
        plot(report, output.with_suffix(""))
    except ImportError:
        print("no plots: matplotlib is not installed (pip install chrion[bench])", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
