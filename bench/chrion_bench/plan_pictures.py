"""Draw the plans in docs/planning.md, made offline from bench/profiles: `python -m chrion_bench.plan_pictures`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import tostring

from chrion import planning
from chrion_api import Plan, Profile
from chrion_bench.profiles import PROFILES
from chrion_bench.suite import suite
from chrion_bench.workplace import workplace
from chrion_graph.files import write_aside
from chrion_planner.candidates import candidates
from chrion_planner.partition import Budget
from chrion_runtime.report import style
from chrion_runtime.report.markup import el
from chrion_runtime.report.model.timeline import Timeline, device_hues
from chrion_runtime.report.svg.gantt import gantt

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"


@dataclass(frozen=True)
class Picture:
    """The fastest plan of a kind, by a recorded profile."""

    file: str
    model: str
    devices: str
    shows: Callable[[Plan], bool]


def _rewritten(name: str) -> Callable[[Plan], bool]:
    return lambda plan: len(plan.stages) > 1 and any(rewrite.name == name for rewrite in plan.rewrites)


PICTURES_SHOWN = (
    Picture("split-directions.svg", "gru-bidirectional-l2-h128-s32-b1", "cpu", _rewritten("split-directions")),
    Picture("wavefront.svg", "lstm-forward-l2-h256-s32-b8", "cpu", _rewritten("wavefront")),
    Picture(
        "cpu-and-gpu.svg",
        "crnn-c16-h48-w320-b1",
        "modelled-h100",
        lambda plan: len({stage.device for stage in plan.stages}) > 1,
    ),
)


def main() -> None:
    """The command line."""
    entries = {entry.name: entry for entry in suite()}
    for picture in PICTURES_SHOWN:
        profile = Profile.from_json((PROFILES / f"{picture.model}.{picture.devices}.json").read_text(encoding="utf-8"))
        with workplace() as folder:
            model = folder / "model.onnx"
            entries[picture.model].write(model)
            prepared = planning.PlanningTask(model, entries[picture.model].inputs, devices=("cpu",)).prepare()
            found = candidates(prepared.buckets[0].variants, profile, Budget()).plans
        plan = min((plan for plan in found if picture.shows(plan)), key=lambda plan: plan.predicted_seconds)
        write_aside(PICTURES / picture.file, drawn(plan))
        print(f"{picture.file}: {plan.name}, {plan.predicted_seconds * 1e3:.3f} ms")


def drawn(plan: Plan) -> str:
    """The plan's schedule as an SVG document that stands alone."""
    chart = gantt(Timeline(plan), device_hues((plan,)), "plan")
    chart.set("xmlns", "http://www.w3.org/2000/svg")
    chart.insert(0, el("style", style()))
    return tostring(chart, encoding="unicode") + "\n"


if __name__ == "__main__":
    main()
