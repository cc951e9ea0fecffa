"""Plan files made by force, for sessions and servers that need no planning."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import onnx

from chrion_api import Frontier, GpuBytes, Plan, PlanFile
from chrion_graph.graph import Graph
from chrion_graph.load import digest
from chrion_runtime.devices import open_devices
from chrion_runtime.engines import key_of
from chrion_runtime.isolation import Opening
from chrion_runtime.planned_model import Hosting, NormalisedModel, PlannedModel
from chrion_runtime.run.machine import Machine
from tests.support.partition import Cut, normalised, plan_of

Shape = tuple[int, ...]


def whole(graph: Graph, lanes: Sequence[str] = ("cpu/0",)) -> Cut:
    """A cut into one stage."""
    return [(range(len(graph.nodes)), tuple(lanes))]


def plan_file(model: Path, plans: Sequence[Plan], shapes: Mapping[str, Shape], devices: Sequence[str] = ()) -> PlanFile:
    """Plans of a model for one bucket, on the devices of this machine."""
    return PlanFile(
        model=digest(model),
        devices={name: key_of(device) for name, device in open_devices(list(devices)).items()},
        buckets=(Frontier(inputs=dict(shapes), plans=tuple(plans)),),
    )


class Planned:
    """A model as a file, its normalised form, and a plan file of one plan."""

    def __init__(
        self,
        model: onnx.ModelProto | Path,
        folder: Path,
        shapes: Mapping[str, Shape],
        cut: Cut | None = None,
        devices: Sequence[str] = (),
        gpu_bytes: GpuBytes | None = None,
    ) -> None:
        """By default the model is one stage on one lane."""
        self.path = model if isinstance(model, Path) else folder / "original.onnx"
        self.graph = normalised(model, folder)
        plan = plan_of(self.graph, whole(self.graph) if cut is None else cut)
        if gpu_bytes is not None:
            plan = plan.model_copy(update={"gpu_bytes": gpu_bytes})
        self.plan_file = plan_file(self.path, [plan], shapes, devices)

    @property
    def normalised(self) -> NormalisedModel:
        return NormalisedModel(self.graph.folder, self.plan_file.model)

    def opening(self, **options: Any) -> Opening:
        """What opens it in a process of its own, with `options` of PlannedModel."""
        return partial(_opened, normalised=self.normalised, plan_file=self.plan_file, options=options)

    def write(self, path: Path) -> Path:
        """The plan file, written there."""
        path.write_text(self.plan_file.to_json())
        return path


def _opened(
    machine: Machine, normalised: NormalisedModel, plan_file: PlanFile, options: Mapping[str, Any]
) -> PlannedModel:
    return PlannedModel(normalised, plan_file, hosting=Hosting(machine=machine), **options)
