"""Race the plans of this checkout against those of another: `python -m chrion_bench.replanned --checkout FOLDER`.

Each model is planned by both from nothing, by `chrion plan` in a process of each one's own environment (`make setup`),
and both plans then run in this one's runtime, beside the default session and the other checkout's plan once more as a
control. It says whether a planner that does less still finds plans as good.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from chrion import cache
from chrion_api import HOST, SLO, InputSpec, Mode
from chrion_bench import machine
from chrion_bench.aims import Aim
from chrion_bench.contenders import DEFAULT
from chrion_bench.race import Effort, figures, race
from chrion_bench.side_bench import RESULTS, origin, parser, tell, write
from chrion_bench.suite import Entry, suite
from chrion_bench.workplace import workplace
from chrion_graph.graph import Graph
from chrion_graph.inputs import sample
from chrion_graph.limits import Limits
from chrion_planner.measuring import Contender, PlanContender, SessionContender
from chrion_planner.measuring.statistics import ratio
from chrion_runtime.choice.documents import read_plan_file
from chrion_runtime.choice.selection import select

FORMAT = 1
MODELS = (
    "nsnet2-f50",
    "nsnet2-f200",
    "silero_vad",
    "unrolled-lstm-l4-h64-s32-b1-gemm-split",
    "unrolled-gru-l8-h128-s32-b1-matmul-slice",
    "gru-bidirectional-l2-h64-s32-b8",
    "lstm-forward-l2-h64-s128-b1",
    "rnn-bidirectional-l2-h128-s32-b1",
    "lstm-bidirectional-l1-h128-s32-b8",
    "crnn-c16-h48-w320-b1",
)
EFFORT = Effort(rounds=12)
LEAST = 0.98
NEW, OLD, CONTROL = "this checkout", "other checkout", "other checkout again"


def main(arguments: Sequence[str] | None = None) -> int:
    """Plan and race, print a line a model, write the page."""
    options = parser("replanned", __doc__, EFFORT.rounds)
    options.add_argument("--checkout", type=Path, required=True, help="the other checkout, in which make setup was run")
    options.add_argument("--only", action="append", metavar="NAME", help="only this model; may be repeated")
    chosen = options.parse_args(arguments)
    other: Path = chosen.checkout / ".venv" / "bin" / "chrion"
    effort = replace(EFFORT, rounds=2 if chosen.quick else chosen.rounds)
    output: Path = chosen.output or RESULTS / f"replanned-{machine.file_stem()}.json"
    report = {"format": FORMAT, "date": time.strftime("%Y-%m-%d"), **machine.describe(), "results": []}
    report["other"] = _commit(chosen.checkout)
    known = {entry.name: entry for entry in suite()}
    for name in chosen.only or (MODELS[2:3] if chosen.quick else MODELS):
        report["results"].append(item := _one(known[name], other, effort))
        print(_told(item), flush=True)
        if not chosen.quick:
            write(report, output, page)
    tell(aims(report["results"]))
    return 0


def _one(entry: Entry, other: Path, effort: Effort) -> dict[str, Any]:
    own = Path(sys.executable).with_name("chrion")
    with workplace() as folder:
        model = folder / "model.onnx"
        entry.write(model)
        seconds = {}
        for name, chrion in ((OLD, other), (NEW, own)):
            began = time.monotonic()
            _plan(chrion, model, entry.inputs, folder / f"{name}.json", folder / f"{name} cache")
            seconds[name] = round(time.monotonic() - began, 1)
        normalised = cache.normalised(model, Limits())
        graph = Graph.load(normalised.folder)
        values = {spec.name: spec.value for spec in entry.inputs if spec.value is not None}
        contenders: list[Contender] = []
        plans = {}
        for name, file in ((NEW, NEW), (OLD, OLD), (CONTROL, OLD)):
            plan_file = read_plan_file(folder / f"{file}.json")
            (frontier,) = plan_file.buckets
            feeds = sample(graph.inputs, frontier.inputs, values, defaults=graph.defaults)
            plan = select(frontier, SLO(), Mode.LATENCY).plan
            plans[name] = plan.name
            lanes = plan_file.devices[HOST].cores
            named = plan.model_copy(update={"name": name})
            contenders.append(PlanContender(named, normalised.folder, (HOST,), lanes, feeds))
        results = race([SessionContender(DEFAULT, model, feeds), *contenders], effort)
    rounds = {result.name: result.rounds for result in results}
    return {
        "model": entry.name,
        "plans": plans,
        "seconds": seconds,
        "gain": ratio(rounds[OLD], rounds[NEW]),
        "control": ratio(rounds[OLD], rounds[CONTROL]),
        "contenders": figures(results),
    }


def _plan(chrion: Path, model: Path, inputs: Sequence[InputSpec], output: Path, folder: Path) -> None:
    """Plan from nothing. Raises CalledProcessError."""
    command: list[str | Path] = [chrion, "plan", model, "-o", output]
    for spec in inputs:
        for shape in spec.buckets:
            command += ["-i", f"{spec.name}={'x'.join(map(str, shape)) or 'scalar'}"]
        if spec.value is not None:
            command += ["--value", f"{spec.name}={spec.value}"]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "CHRION_CACHE": str(folder)})


def _commit(folder: Path) -> str:
    asked = ["git", "-C", str(folder), "rev-parse", "--short=12", "HEAD"]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()


def aims(results: Sequence[Mapping[str, Any]]) -> list[Aim]:
    """What of LEAST was reached."""
    worst = min(results, key=lambda item: float(item["gain"]))
    text = f"plans at least ×{LEAST} as fast as the other checkout's"
    return [Aim(text, f"the least ×{worst['gain']:.2f} ({worst['model']})", worst["gain"] >= LEAST)]


def page(report: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    lines = [
        f"# Plans of two checkouts, {report['machine']['cpu']}, {report['machine']['cores']} cores",
        "",
        f"{origin(report)} The other checkout is at {report['other']}.",
        "",
        "| model | plan | the other's | gain over it | it over itself | planned in s | the other in s |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {item['model']} | {item['plans'][NEW]} | {item['plans'][OLD]} | ×{item['gain']:.2f} | "
        f"×{item['control']:.2f} | {item['seconds'][NEW]} | {item['seconds'][OLD]} |"
        for item in report["results"]
    ]
    return "\n".join(lines) + "\n"


def _told(item: Mapping[str, Any]) -> str:
    return (
        f"{item['model']}: ×{item['gain']:.2f} over the other's plan, which is ×{item['control']:.2f} of itself; "
        f"{item['plans'][NEW]} in {item['seconds'][NEW]} s, {item['plans'][OLD]} in {item['seconds'][OLD]} s"
    )


if __name__ == "__main__":
    sys.exit(main())
