"""Measure Chrion's server beside others: `python -m chrion_bench.serving` (or `make bench-serving`).

Each server runs alone in a process of its own on one core, the load generator on the other; they take turns.
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
from chrion_bench.serving import process
from chrion_bench.serving.contenders import CHRION, bare, checkout, chrion, others
from chrion_bench.serving.hops import hops
from chrion_bench.serving.isolation import isolation
from chrion_bench.serving.latency import latency
from chrion_bench.serving.lengths import lengths
from chrion_bench.serving.models import MODELS, write
from chrion_bench.serving.overload import overload
from chrion_bench.serving.process import Program, ServerFailed
from chrion_bench.serving.runaway import runaway
from chrion_bench.serving.summary import aims, page
from chrion_bench.serving.throughput import throughput
from chrion_bench.serving.together import batching, pipelining
from chrion_bench.serving.venvs import PACKAGES
from chrion_bench.workplace import workplace
from chrion_graph.files import write_aside
from chrion_runtime.devices.cpu import usable_cores

RESULTS = Path(__file__).resolve().parents[2] / "results"
FORMAT = 2
ROUNDS, SECONDS, QUICK_SECONDS = 3, 3.0, 0.7

Say = Callable[[str], None]
SCENARIOS: dict[str, Callable[[Path, float, Say], Any]] = {
    "latency": latency,
    "hops": hops,
    "lengths": lengths,
    "overload": overload,
    "runaway": runaway,
    "isolation": isolation,
    "pipelining": pipelining,
    "batching": batching,
}
THROUGHPUT = "throughput"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a line a result, write the page; 1 where something could not be measured."""
    options = _parser().parse_args(arguments)
    rounds = options.rounds or (1 if options.quick else ROUNDS)
    seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    if usable_cores() < 2:
        sys.exit("error: the serving bench wants two cores, one for the server and one for the clients")
    output: Path = options.output or RESULTS / f"serving-{machine.file_stem()}.json"
    tables = options.only or [THROUGHPUT, *SCENARIOS]
    report = _begun(output, keep=bool(options.only))
    failures = 0
    if options.quick:
        process.most_times = 1
    with workplace() as folder:
        for model in MODELS.values():
            write(model, folder)
        for name in tables:

            def keep(found: Any, name: str = name) -> None:
                report[name] = found
                if not options.quick:
                    write_aside(output, json.dumps(report, indent=1) + "\n")
                    write_aside(output.with_suffix(".md"), page(report))

            try:
                if name == THROUGHPUT:
                    servers = [*map(checkout, options.checkout), *_servers(options.server, quick=options.quick)]
                    keep(throughput(servers, folder, rounds, seconds, _say, keep))
                else:
                    keep(SCENARIOS[name](folder, seconds, _say))
            except ServerFailed as error:
                failures += 1
                _say(f"{name} failed: {error}")
    for aim in aims(report):
        print(f"{aim.verdict}: {aim.text}: {aim.value}")
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chrion_bench.serving", description=__doc__)
    names = [THROUGHPUT, *SCENARIOS]
    parser.add_argument("--only", action="append", default=[], choices=names, help="only this table; others are kept")
    parser.add_argument("--server", action="append", default=[], help="only this server, for requests a second")
    parser.add_argument(
        "--checkout",
        action="append",
        default=[],
        type=lambda text: Path(text).resolve(),
        help="measure another checkout's Chrion beside this one's, for requests a second, start and memory",
    )
    parser.add_argument("--rounds", type=int, help=f"turns that each server takes; default {ROUNDS}")
    parser.add_argument("--seconds", type=float, help=f"how long each load lasts; default {SECONDS:g}")
    parser.add_argument("--output", type=Path, help="where to write the figures; default: bench/results")
    parser.add_argument(
        "--quick", action="store_true", help="no other servers, a moment each, nothing written: does it run?"
    )
    return parser


def _servers(names: Sequence[str], quick: bool) -> list[Program]:
    found: list[Program] = [chrion(), bare(), bare("uvloop")]
    for other in () if quick else others():
        if isinstance(other, Program):
            found.append(other)
        else:
            _say(f"{other[0]} is absent: {other[1]}")
    return [program for program in found if not names or program.name in (CHRION, *names)]


def _begun(output: Path, keep: bool) -> dict[str, Any]:
    if keep and output.exists():
        kept: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
        if kept.get("format") == FORMAT:
            return {**kept, **_about()}
    return _about()


def _about() -> dict[str, Any]:
    described = machine.describe()
    described["versions"] |= {name: version(name) for name in ("aiohttp", "uvloop", "orjson")}
    described["versions"] |= dict(package.split("==") for package in PACKAGES.values())
    return {"format": FORMAT, "date": time.strftime("%Y-%m-%d"), **described}


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
