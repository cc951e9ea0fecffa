"""Measure Chrion on the GPU of this machine, within minutes and without a network: bench/gpu/run.

Steps: probe the GPU; prepare, profile and plan the models of a fixed list; measure each plan in turn with what people
use instead; write figures, a table, plots and the profiles. What fails is named, and what can go on without it goes on.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from chrion_api import GpuBytesFrom, Profile
from chrion_bench import machine
from chrion_bench.gpu.accelerator import GPU, STAND_IN, Accelerator, probe, same_precision
from chrion_bench.gpu.aims import LATENCY, aims, less, times
from chrion_bench.gpu.journal import Journal, Step, verdict
from chrion_bench.gpu.model import QUICK, Bench, Subject
from chrion_bench.gpu.page import page
from chrion_bench.gpu.plots import plot
from chrion_bench.gpu.suite import gpu_suite
from chrion_bench.profiles import PROFILES, together
from chrion_bench.race import Effort
from chrion_bench.workplace import workplace
from chrion_graph.files import write_aside
from chrion_graph.model_worker import isolated
from chrion_planner.partition import Budget
from chrion_runtime.devices.cpu import usable_cores

RESULTS = Path(__file__).resolve().parents[2] / "results"
FORMAT = 1

SHARES = {"probe": 0.05, "prepare": 0.07, "profile": 0.4, "plan": 0.15, "measure": 0.3, "write": 0.03}
"""Of the time; what a step leaves goes to those after it."""
_PROBE_SECONDS = 90.0
_DRY_MINUTES = 2.5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all steps; 1 where one failed."""
    options = _parser().parse_args(arguments)
    same_precision()
    with ExitStack() as stack:
        output: Path | None = options.output
        if output is None and options.dry_run:
            output = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chrion-dry-run-")))
        folder = stack.enter_context(workplace())
        minutes = options.minutes or (_DRY_MINUTES if options.dry_run else 8.0)
        return _Run(options.dry_run, options.only, output, folder, Journal(SHARES, minutes)).all_steps()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench/gpu/run", description=__doc__)
    parser.add_argument(
        "--dry-run", action="store_true", help="small models, an emulated accelerator: does the script run?"
    )
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="write all files there; default: bench/")
    parser.add_argument("--minutes", type=float, help="what all steps together may take; default: 8")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="only models with this in the name")
    return parser


class _Run:
    """One run: its report grows with the steps, and is written whenever there is something new."""

    def __init__(self, dry: bool, only: Sequence[str], output: Path | None, folder: Path, journal: Journal) -> None:
        self._accelerator: Accelerator = STAND_IN if dry else GPU
        self._dry = dry
        self._output = output
        self._folder = folder
        self._journal = journal
        self._entries = [entry for entry in gpu_suite(dry) if any(part in entry.name for part in only or [""])]
        self._report: dict[str, Any] = {
            "format": FORMAT,
            "date": time.strftime("%Y-%m-%d"),
            **machine.describe(),
            "gpu": {"device": self._accelerator.device},
            "suite": len(self._entries),
            "results": [],
            "warnings": [],
        }
        self._profiles: dict[str, Profile] = {}

    def all_steps(self) -> int:
        """Each step with what the ones before it left; 1 where anything failed."""
        with self._journal.step("probe") as step:
            self._probe(step)
        if not self._journal.failed:
            self._models()
        with self._journal.step("write") as step:
            self._write()
            step.done += [str(path) for path in self._draw()]
        self._write()
        for aim in aims(self._report["results"]):
            print(f"{aim.verdict}: {aim.text}: {aim.value}")
        print(verdict(self._journal.to_data(), self._journal.seconds), flush=True)
        return 1 if self._journal.failed else 0

    def _probe(self, step: Step) -> None:
        arguments = (self._accelerator.device, 0)
        seconds = max(step.left, _PROBE_SECONDS)
        self._report["gpu"] = isolated(probe, *arguments, memory_bytes=None, seconds=seconds, what="probing")
        print(json.dumps(self._report["gpu"], indent=1), flush=True)

    def _models(self) -> None:
        """Prepare, profile, plan and measure; each step goes on with the models that came through the one before."""
        bench = self._bench()
        subjects = [Subject(entry, self._folder / entry.name / "model.onnx", bench) for entry in self._entries]
        cores = usable_cores()
        with self._journal.step("prepare") as step:
            step.together(subjects, Subject.prepare, cores)
        subjects = [subject for subject in subjects if subject.prepared]
        with self._journal.step("profile") as step:
            step.each(subjects, Subject.measure_profile)
        subjects = [subject for subject in subjects if subject.profile]
        self._profiles = {subject.name: subject.profile for subject in subjects if subject.profile}
        with self._journal.step("plan") as step:
            step.together(subjects, Subject.plan, max(1, cores // len(bench.budgets)))
        subjects = [subject for subject in subjects if subject.candidates]
        with self._journal.step("measure") as step:
            step.each(subjects, self._measure)

    def _bench(self) -> Bench:
        gpu = self._report["gpu"]
        # Where NVML does not tell processes apart, memory is the GPU's difference, and they are loaded one by one.
        loading = max(1, usable_cores() // 2) if gpu["bytesFrom"] == GpuBytesFrom.PROCESS else 1
        return Bench(
            accelerator=self._accelerator,
            cpu_lanes=gpu["cpuLanes"],
            tensorrt="" if gpu["tensorrt"] == "present" else gpu["tensorrt"],
            budgets=(QUICK,) if self._dry else (QUICK, Budget()),
            effort=Effort(rounds=4 if self._dry else 10, turn_seconds=0.04, processes=1, loading=loading),
            warn=self._report["warnings"],
        )

    def _measure(self, subject: Subject, seconds: float) -> None:
        item = subject.measure(seconds)
        self._report["results"].append(item)
        ratio = times(item, LATENCY)
        plan = item["plans"][LATENCY]["name"]
        print(f"    {plan}" + ("" if ratio is None else f": {less(ratio)} latency"), flush=True)
        self._write()

    @property
    def _stem(self) -> Path:
        product = machine.slug(self._report["gpu"].get("product", "none"))
        return (self._output or RESULTS) / f"gpu-{product}"

    def _write(self) -> None:
        if self._output is None and "product" not in self._report["gpu"]:
            return  # nothing was found to measure
        report = {**self._report, "steps": self._journal.to_data(), "seconds": round(self._journal.seconds, 1)}
        stem = self._stem
        stem.parent.mkdir(parents=True, exist_ok=True)
        write_aside(stem.with_name(f"{stem.name}.json"), json.dumps(report, indent=1) + "\n")
        write_aside(stem.with_name(f"{stem.name}.md"), page(report))
        if self._profiles:
            folder = self._output / "profiles" if self._output else PROFILES
            folder.mkdir(exist_ok=True)
            write_aside(folder / f"{stem.name.removeprefix('gpu-')}.json", together(self._profiles))

    def _draw(self) -> list[Path]:
        if not self._report["results"]:
            return []
        try:
            return plot(self._report, self._stem)
        except ImportError:
            self._report["warnings"].append("no plots: matplotlib is not installed")
            return []


if __name__ == "__main__":
    sys.exit(main())
