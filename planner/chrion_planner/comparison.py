"""Compare a plan with what people would use instead: ONNX Runtime's default session and each single device."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chrion_api import HOST, SLO, InputSpec, Latency, Mode, Objective, PlanFile, Shape
from chrion_graph.graph import Graph
from chrion_graph.inputs import sample
from chrion_graph.limits import Limits
from chrion_planner.measuring import Contender, PlanContender, SessionContender, contest, latency
from chrion_planner.measuring.statistics import ratio
from chrion_planner.progress import Progress, silent
from chrion_runtime.choice.ladder import choose
from chrion_runtime.devices import traits_of
from chrion_runtime.run.loading import NormalisedModel


@dataclass(frozen=True)
class ContenderGain:
    """One contender: its latency, and how many times as fast as the first row it is."""

    name: str
    latency: Latency | None
    gain: float | None
    error: str = ""


@dataclass(frozen=True)
class Comparison:
    """The rows of one bucket, ONNX Runtime's default session first, and which of them is the plan."""

    inputs: Mapping[str, Shape]
    plan: str
    rows: tuple[ContenderGain, ...]


def compare(
    model: Path,
    normalised: NormalisedModel,
    plan_file: PlanFile,
    slo: SLO,
    mode: Mode,
    inputs: Sequence[InputSpec],
    *,
    rounds: int,
    turn_seconds: float,
    progress: Progress = silent,
) -> list[Comparison]:
    """Measure the selected plan of every bucket, each contender in a process of its own, taken in turn."""
    graph = Graph.load(normalised.folder)
    values = {spec.name: spec.value for spec in inputs if spec.value is not None}
    found = []
    for frontier, selection in zip(plan_file.buckets, choose(plan_file, Objective.of(slo, mode)), strict=True):
        plan = selection.plan
        feeds = sample(graph.inputs, frontier.inputs, values, defaults=graph.defaults)
        contenders: list[Contender] = [
            SessionContender("onnxruntime-default", model, feeds),
            SessionContender("onnxruntime-1-thread", model, feeds, threads=1),
        ]
        contenders += [
            SessionContender(f"onnxruntime-{device}", model, feeds, device=device)
            for device in plan_file.devices
            if traits_of(device).provider
        ]
        lanes = plan_file.devices[HOST].cores
        contenders.append(PlanContender(plan, normalised.folder, tuple(plan_file.devices), lanes, feeds))
        results = contest(
            contenders,
            Limits(),
            rounds=rounds,
            turn_seconds=turn_seconds,
            deadline=time.monotonic() + 600,
            progress=progress,
        )
        base = results[0].rounds
        rows = [
            ContenderGain(item.name, latency(item.rounds), 1 / ratio(item.rounds, base), item.error)
            if item.rounds
            else ContenderGain(item.name, None, None, item.error)
            for item in results
        ]
        found.append(Comparison(frontier.inputs, plan.name, tuple(rows)))
    return found
