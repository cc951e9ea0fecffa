"""Plan 200 named instances and some large problems, beside exact solvers and list schedulers, each in its own process.

`python -m chrion_bench.planning`. Nothing is measured on a device: costs are given, and the simulator judges. Each
result is written as it comes; started again at the same commit, with the same limit, it goes on where it ended.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from chrion.progress import Display
from chrion_bench import machine
from chrion_bench.planning import gaps, rewriting, scale
from chrion_bench.planning.instances import instances
from chrion_bench.planning.process import Failed, in_own_process
from chrion_bench.planning.records import Data, Records, describe
from chrion_bench.planning.summary import PROVED_SECONDS, aims, better, over_optimum, page
from chrion_graph.files import write_aside

RESULTS = Path(__file__).resolve().parents[2] / "results"
QUICK_INSTANCES, QUICK_SECONDS = 4, 2.0


@dataclass(frozen=True)
class Work:
    """One result to be found: by what module, for what name, and with what else said to it."""

    table: str
    module: str
    name: str
    more: tuple[str, ...] = ()


def main(arguments: Sequence[str] | None = None) -> int:
    """Find what is not found yet, say a line for each, write the page; 1 where something failed."""
    options = _parser().parse_args(arguments)
    if options.quick:
        options.limit, options.seconds, options.scale = QUICK_INSTANCES, QUICK_SECONDS, False
    solvers = tuple(options.solver) or gaps.usable()[:1]
    output = None if options.quick else options.out / f"planning-{machine.file_stem()}.jsonl"
    records = Records(output, describe(options.seconds, solvers))
    large = list(_large()) if options.scale else []
    small = list(_small(options.limit, options.seconds, solvers))
    with Display() as display:
        for work, jobs in ((large, 1), (small, options.jobs)):
            _find(work, jobs, records, output, display)
    for aim in aims(records):
        print(f"{aim.verdict}: {aim.text}: {aim.value}")
    return 1 if records.failures() else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chrion_bench.planning", description=__doc__)
    parser.add_argument("--limit", type=_positive, help="only the first so many instances, an even sample of all")
    parser.add_argument("--seconds", type=float, default=PROVED_SECONDS, help="for the exact solver, an instance")
    parser.add_argument("--solver", action="append", default=[], choices=gaps.usable(), help="default: the best one")
    parser.add_argument("--jobs", type=_positive, default=1, help="instances side by side")
    parser.add_argument("--scale", action=argparse.BooleanOptionalAction, default=True, help="the large problems, too")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FOLDER", help="default: bench/results")
    parser.add_argument("--quick", action="store_true", help="a few instances, nothing written: does it run?")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _large() -> Iterator[Work]:
    for name in scale.SIZES:
        yield Work("scale", scale.__name__, name)
    for name in rewriting.GRAPHS:
        yield Work("rewriting", rewriting.__name__, name)


def _small(limit: int | None, seconds: float, solvers: tuple[str, ...]) -> Iterator[Work]:
    for instance in list(instances())[:limit]:
        yield Work("instances", gaps.__name__, instance.name, (str(seconds), *solvers))


def _find(work: Sequence[Work], jobs: int, records: Records, output: Path | None, display: Display) -> None:
    done = {(one["table"], one["name"]) for table in {each.table for each in work} for one in records.results(table)}
    left = [each for each in work if (each.table, each.name) not in done]
    with ThreadPoolExecutor(jobs) as pool:
        pending = {pool.submit(in_own_process, each.module, each.name, *each.more): each for each in left}
        try:
            for count, future in enumerate(as_completed(pending), 1):
                each = pending[future]
                try:
                    found = {**future.result(), "jobs": jobs}
                except Failed as error:
                    found = {"name": each.name, "error": str(error)}
                records.add(each.table, found)
                if output is not None:
                    write_aside(output.with_suffix(".md"), page(records))
                display.say(f"{each.name}: {_said(each.table, found)}")
                display.progress(f"{each.table} {count} of {len(left)}", count / len(left))
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _said(table: str, found: Data) -> str:
    if "error" in found:
        return f"failed: {found['error']}"
    if table != "instances":
        return f"{found['seconds']:.2f} s, {found['peakBytes'] / 2**20:.0f} MiB"
    ratio, others = over_optimum(found), better(found)
    proved = "not proved" if ratio is None else f"search ×{ratio:.4f} of the optimum"
    worse = f", worse than {', '.join(others)}" if others else ""
    return f"{found['tasks']} tasks in {found['planningSeconds']:.2f} s, {proved}{worse}"


if __name__ == "__main__":
    sys.exit(main())
