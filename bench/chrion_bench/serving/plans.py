"""Plans for the served models as they are wanted here, made by hand: nothing is measured to find them."""

from pathlib import Path

from chrion import cache
from chrion_api import SLO, Frontier, Mode, Plan, PlanFile, Stage
from chrion_bench.serving.models import MODELS, ServedModel, write
from chrion_graph.graph import Graph
from chrion_graph.limits import Limits
from chrion_runtime.devices import open_devices
from chrion_runtime.engines import key_of
from chrion_runtime.planned_model import Hosting, PlannedModel
from chrion_runtime.run.machine import Machine


def session(model: ServedModel, path: Path, slo: SLO | None = None, machine: Machine | None = None) -> PlannedModel:
    """The model as Chrion runs it: one stage, or its layers on its lanes in turn.

    `machine` is what the models of one process share, where there are several.
    """
    normalised = cache.normalised(path, Limits())
    graph = Graph.load(normalised.folder)
    plan = Plan(name="by-hand", graph=graph.digest, stages=_stages(graph, model.lanes), predicted_seconds=1e-3)
    buckets = tuple(Frontier(inputs={model.input: shape}, plans=(plan,)) for shape in model.buckets or (model.shape,))
    devices = {name: key_of(device) for name, device in open_devices(("cpu",), 0).items()}
    file = PlanFile(model=normalised.digest, devices=devices, buckets=buckets)
    return PlannedModel(
        normalised, file, name=model.name, slo=slo or SLO(), mode=Mode.LATENCY, hosting=Hosting(machine=machine)
    )


def opened(name: str, folder: Path, slo: SLO | None, machine: Machine | None) -> PlannedModel:
    """The session of a model by its name, whose file is in that folder; for the process that serves it."""
    return session(MODELS[name], write(MODELS[name], folder), slo, machine)


def _stages(graph: Graph, lanes: tuple[str, ...]) -> tuple[Stage, ...]:
    if len(lanes) == 1:
        return (Stage(nodes=tuple(range(len(graph.nodes))), lanes=lanes),)
    layers: list[list[int]] = []
    for index, node in enumerate(graph.nodes):
        if node.op_type == "LSTM":
            layers.append([])
        layers[-1].append(index)
    return tuple(
        Stage(
            nodes=tuple(nodes),
            lanes=(lanes[place % len(lanes)],),
            start_seconds=place * 1e-4,
            finish_seconds=(place + 1) * 1e-4,
        )
        for place, nodes in enumerate(layers)
    )
