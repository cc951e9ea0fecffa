"""Real sessions of small models, by plans made by force, to be served."""

from pathlib import Path

import onnx

from chrion_api import Frontier, PlanFile, Shape
from chrion_runtime.devices import open_devices
from chrion_runtime.engines import key_of
from chrion_runtime.planned_model import Hosting, NormalisedModel, PlannedModel
from tests.support.control_flow import TextModel
from tests.support.partition import each_node, normalised, plan_of

BODY_LIMIT = 200_000
"""Bytes of a body, where bad requests are tried."""


def planned_model(name: str, model: str | onnx.ModelProto, shapes: dict[str, Shape], folder: Path) -> PlannedModel:
    """A planned model, given as text or ready, each of its nodes a stage, over two CPU lanes."""
    built = TextModel(model, ()).build() if isinstance(model, str) else model
    graph = normalised(built, folder)
    lanes = open_devices([], 2)["cpu"]
    digest = "0" * 64
    plan_file = PlanFile(
        model=digest,
        devices={"cpu": key_of(lanes)},
        buckets=(Frontier(inputs=shapes, plans=(plan_of(graph, each_node(graph)),)),),
    )
    return PlannedModel(NormalisedModel(graph.folder, digest), plan_file, name=name, hosting=Hosting(any_device=True))
