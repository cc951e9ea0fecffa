"""Plan models and measure each plan against ONNX Runtime: `python -m chrion_bench` (or `make bench`).

Every figure is a ratio against a named baseline; each contender runs alone in a process of its own, taken in turn.
"""

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort

from chrion import cache, planning
from chrion_api import SLO, InputSpec, Mode
from chrion_bench.families import find
from chrion_bench.real import fetch
from chrion_graph.files import write_aside
from chrion_graph.limits import Limits
from chrion_planner.comparison import Comparison, compare
from chrion_runtime.devices.cpu import product, usable_cores

RESULTS = Path(__file__).resolve().parents[1] / "results"

GENERATED = (
    "gru-bidirectional-l2-h128-s128-b1",
    "lstm-bidirectional-l1-h128-s128-b1",
    "lstm-bidirectional-l2-h256-s128-b1",
    "gru-bidirectional-l4-h64-s128-b1",
    "lstm-forward-l2-h128-s128-b1",
    "unrolled-lstm-l8-h128-s32-b1-gemm-split",
    "unrolled-gru-l4-h64-s32-b1-matmul-slice",
)
"""Generated models whose plans are measured by default."""

QUICK = ("silero_vad", "gru-bidirectional-l2")
QUICK_ROUNDS = 5


@dataclass(frozen=True)
class Entry:
    """A model to plan and measure."""

    name: str
    model: Path
    inputs: tuple[InputSpec, ...]


def entries(folder: Path) -> Iterator[Entry]:
    """The real models, then the families; generated files go into `folder`."""
    real = fetch()
    yield Entry("nsnet2", real["nsnet2.onnx"], (InputSpec(name="input", shapes=((1, 50, 161), (1, 200, 161))),))
    silero = (
        InputSpec(name="input", shape=(1, 576)),
        InputSpec(name="state", shape=(2, 1, 128)),
        InputSpec(name="sr", shape=(), value=16000),
    )
    yield Entry("silero_vad", real["silero_vad.onnx"], silero)
    for name in GENERATED:
        case = find(name)
        path = folder / f"{name}.onnx"
        onnx.save(case.build(), path)
        specs = tuple(InputSpec(name=key, shape=shape, value=case.fills.get(key)) for key, shape in case.inputs.items())
        yield Entry(name, path, specs)


def measure(entry: Entry, rounds: int) -> list[Comparison]:
    """Plan a model on this machine, then compare its plan with the baselines."""
    plan_file = planning.plan(planning.Job(entry.model, entry.inputs))
    return compare(
        entry.model,
        cache.normalised(entry.model, Limits()),
        plan_file,
        SLO(),
        Mode.LATENCY,
        entry.inputs,
        rounds=rounds,
        turn_seconds=0.1,
    )


def as_data(entry: Entry, item: Comparison) -> dict[str, Any]:
    """One bucket's result as JSON data; `gain` is the baseline's time over the contender's."""
    return {
        "model": entry.name,
        "inputs": {name: list(shape) for name, shape in item.inputs.items()},
        "plan": item.plan,
        "contenders": {row.name: {"p50": row.latency.p50, "gain": row.gain} for row in item.rows if row.latency},
    }


def as_row(data: dict[str, Any]) -> str:
    """One bucket's result as a row of a Markdown table."""
    contenders = data["contenders"]
    baselines = {name: value["p50"] for name, value in contenders.items() if name.startswith("onnxruntime")}
    best = min(baselines, key=baselines.__getitem__)
    gain = contenders[data["plan"]]["gain"]
    over_best = gain / contenders[best]["gain"]
    shapes = " ".join("x".join(map(str, shape)) or "scalar" for shape in data["inputs"].values())
    times = " | ".join(f"{value['p50'] * 1e3:.3f}" for value in contenders.values())
    return f"| {data['model']} | {shapes} | {times} | {data['plan']} | ×{gain:.2f} | ×{over_best:.2f} |"


HEADER = (
    "| model | inputs | default ms | 1 thread ms | plan ms | plan | over default | over best single |\n"
    "|---|---|---|---|---|---|---|---|"
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table, and write the figures to bench/results."""
    parser = argparse.ArgumentParser(prog="chrion_bench", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="only models with this in the name")
    parser.add_argument("--rounds", type=int, default=20, help="turns that each contender takes")
    parser.add_argument("--quick", action="store_true", help="two models, few rounds, nothing written: does it run?")
    parser.add_argument("--output", type=Path, help="where to write the figures; default: bench/results")
    options = parser.parse_args(arguments)
    only = options.only or (QUICK if options.quick else [""])
    results = []
    print(HEADER, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for entry in entries(Path(folder)):
            if not any(part in entry.name for part in only):
                continue
            for item in measure(entry, QUICK_ROUNDS if options.quick else options.rounds):
                results.append(as_data(entry, item))
                print(as_row(results[-1]), flush=True)
    if options.quick:
        return
    machine = {"cpu": product(), "cores": usable_cores(), "onnxruntime": ort.__version__, "system": platform.platform()}
    report = {
        "date": time.strftime("%Y-%m-%d"),
        "baseline": "onnxruntime-default",
        "machine": machine,
        "results": results,
    }
    name = f"cpu-{product().lower().replace(' ', '-')}-{usable_cores()}-cores.json"
    write_aside(options.output or RESULTS / name, json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
