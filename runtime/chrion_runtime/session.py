"""A model with its plans, ready to answer: what the server serves and what Python programs use."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, log
from pathlib import Path
from typing import Any

import numpy as np

from chrion_api import SLO, Frontier, InputSpec, Mode, PlanFile, Shape, StateLink
from chrion_graph.graph import Graph
from chrion_graph.inputs import sample
from chrion_graph.load import graphs
from chrion_graph.types import RECURRENT, TensorType
from chrion_runtime.carry import Carry, shapes_of
from chrion_runtime.devices import Device, open_devices
from chrion_runtime.errors import PlanRefused, RunError
from chrion_runtime.executor import SLOTS, Executor
from chrion_runtime.lanes import Lanes
from chrion_runtime.program import Program
from chrion_runtime.rights import Rights
from chrion_runtime.selection import Selection, select
from chrion_runtime.sequences import Sequences, SequenceStore, state_links
from chrion_runtime.servable import Array, SequenceStep, StageObserver, TensorSpec
from chrion_runtime.sessions import SessionStore


@dataclass(frozen=True)
class Normalised:
    """A normalised model's folder, and the digest of the file that it was made from."""

    folder: Path
    digest: str


@dataclass(frozen=True)
class _Bucket:
    frontier: Frontier
    selection: Selection
    executor: Executor


class Session:
    """Runs a model by the plans that its objective selects, one for each bucket of shapes.

    `run` may be called from many threads. Requests of other shapes run on the nearest bucket's plan.
    """

    def __init__(
        self,
        model: Normalised,
        plan_file: PlanFile,
        *,
        name: str = "model",
        slo: SLO | None = None,
        mode: Mode = Mode.AUTO,
        inputs: Sequence[InputSpec] = (),
        state: Sequence[StateLink] = (),
        sequences: SequenceStore | None = None,
        any_device: bool = False,
        rights: Rights | None = None,
    ) -> None:
        """`inputs` says what to warm with where random numbers or zeros will not do, and what state starts with.

        `state` says which outputs feed which inputs within a sequence, `sequences` how many are kept and for how long.
        `rights` are given where several models of the process share its lanes.

        Raises StateRefused where the model has no such state; PlanRefused where the plan does not fit the model or,
        unless `any_device`, these devices; DeviceUnavailable; RunError where the model fails on its first run.
        """
        if plan_file.model != model.digest:
            raise PlanRefused(
                f"the plan was made for model {plan_file.model[:12]}, this is {model.digest[:12]}: plan again"
            )
        self.name = name
        self._slo = slo or SLO()
        self._mode = mode
        graph = Graph.load(model.folder)
        self.inputs = tuple(_spec(name, kind) for name, kind in graph.inputs.items())
        self.outputs = tuple(_spec(name, kind) for name, kind in graph.outputs.items())
        # ONNX Runtime ends the whole process at a recurrent node with nothing to run over.
        self._recurrent = any(node.op_type in RECURRENT for body in graphs(graph.model) for node in body.node)
        self._dtypes = {spec.name: spec.dtype for spec in self.inputs}
        self._devices = _devices(plan_file, any_device)
        self._lanes = Lanes(rights, self._devices["cpu"].lanes)
        self._guard = threading.Lock()
        self.off_profile = 0
        store = SessionStore(spin=rights is None)
        values = {spec.name: spec.value for spec in inputs if spec.value is not None}
        self.state = state_links(state, graph.inputs, graph.outputs)
        """The input that each output feeds within a sequence."""
        kinds = {name: kind for name, kind in graph.inputs.items() if kind is not None}
        self._sequences = Sequences(self.state, kinds, self._devices["cpu"], sequences, values)
        self._buckets = [self._open(graph, frontier, store, values) for frontier in plan_file.buckets]

    def _open(
        self, graph: Graph, frontier: Frontier, store: SessionStore, values: Mapping[str, bool | int | float]
    ) -> _Bucket:
        if frontier.inputs.keys() != graph.inputs.keys():
            raise PlanRefused(f"the plan is for inputs {list(frontier.inputs)}, the model has {list(graph.inputs)}")
        selection = select(frontier, self._slo, self._mode)
        executor = Executor(Program(graph, selection.plan, self._devices, store), self._lanes)
        executor.warm(sample(graph, frontier.inputs, values))
        return _Bucket(frontier, selection, executor)

    @property
    def concurrency(self) -> int:
        """Requests that may be in `run` at once without waiting for each other's values."""
        return SLOTS

    @property
    def selections(self) -> tuple[Selection, ...]:
        """The plan that serves each bucket, and why."""
        return tuple(bucket.selection for bucket in self._buckets)

    @property
    def sequences(self) -> SequenceStore:
        """The sequences whose state is kept."""
        return self._sequences.store

    def run(
        self,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] | None = None,
        sequence: SequenceStep | None = None,
    ) -> dict[str, Array]:
        """Answer one request; `outputs` picks some of the outputs. The arrays belong to the caller.

        Within a `sequence` the inputs that take state are left out, and outputs that hold it are answered where
        `outputs` names them. Raises RunError for inputs that are missing, unknown or of another element type, and where
        the model fails; SequenceLost for a sequence that has no state here.
        """
        names = self._dtypes.keys() - (self._sequences.inputs if sequence else ())
        if inputs.keys() != names:
            missing, unknown = names - inputs.keys(), inputs.keys() - names
            raise RunError(
                f"inputs: missing {sorted(missing)}, unknown {sorted(unknown)}; the model takes {list(self._dtypes)}"
            )
        feeds = {name: np.asarray(array, order="C") for name, array in inputs.items()}
        for name, array in feeds.items():
            if array.dtype != self._dtypes[name]:
                raise RunError(f"inputs.{name}: is {array.dtype}, the model takes {self._dtypes[name]}")
            if self._recurrent and not array.size:
                raise RunError(f"inputs.{name}: has an axis of length 0, which recurrent models do not take")
        if sequence is None:
            answer = self._answer(feeds)
        else:
            answer = self._sequences.run(sequence, feeds, outputs, self._answer)
        if outputs is None:
            return answer
        if absent := [name for name in outputs if name not in answer]:
            raise RunError(f"outputs: the model has no {absent}; it has {list(answer)}")
        return {name: answer[name] for name in outputs}

    def _answer(self, feeds: Mapping[str, Array], carry: Carry | None = None) -> dict[str, Array]:
        bucket = self._nearest(shapes_of(feeds, carry))
        if carry is not None:
            self._sequences.begin(carry, feeds, bucket.frontier.inputs)
        return bucket.executor.run(feeds, carry)

    def _nearest(self, shapes: Mapping[str, Shape]) -> _Bucket:
        distances = [_distance(bucket.frontier, shapes) for bucket in self._buckets]
        nearest = min(range(len(distances)), key=distances.__getitem__)
        if distances[nearest]:
            with self._guard:
                self.off_profile += 1
        return self._buckets[nearest]

    def describe_plan(self) -> dict[str, Any]:
        """The plan in use for each bucket and why, as JSON data."""
        return {
            "model": self.name,
            "mode": self._mode.resolve(self._slo).value,
            "slo": self._slo.to_data(),
            "offProfileRequests": self.off_profile,
            "buckets": [
                {
                    "inputs": {name: list(shape) for name, shape in bucket.frontier.inputs.items()},
                    "reason": bucket.selection.reason,
                    "meetsSLO": bucket.selection.meets_slo,
                    "plan": bucket.selection.plan.to_data(),
                    "frontier": [plan.name for plan in bucket.frontier.plans],
                }
                for bucket in self._buckets
            ],
        }

    def observe(self, observer: StageObserver) -> None:
        """Have `observer` called after each stage."""
        for bucket in self._buckets:
            bucket.executor.observe(observer)

    def close(self) -> None:
        """Release threads and sessions; `run` must not be called afterwards."""
        self._lanes.close()
        self._buckets.clear()


def _devices(plan_file: PlanFile, any_device: bool) -> dict[str, Device]:
    devices = open_devices(tuple(plan_file.devices))
    for name, key in plan_file.devices.items():
        here = devices[name].key
        if here != key and not any_device:
            changed = [
                f"{field} {getattr(key, field)!r} is {getattr(here, field)!r} here"
                for field in type(key).model_fields
                if getattr(key, field) != getattr(here, field)
            ]
            raise PlanRefused(
                f"the plan was measured on another {name}: {', '.join(changed)}; plan again, or say --any-device"
            )
    return devices


def _distance(frontier: Frontier, shapes: Mapping[str, Shape]) -> float:
    """How far a request's shapes are from a bucket's: the sum over axes of the logarithm of their ratio."""
    total = 0.0
    for name, shape in shapes.items():
        planned = frontier.inputs[name]
        if len(shape) != len(planned):
            return inf
        total += sum(abs(log((one + 1) / (other + 1))) for one, other in zip(shape, planned, strict=True))
    return total


def _spec(name: str, kind: TensorType | None) -> TensorSpec:
    if kind is None:
        raise PlanRefused(
            f'"{name}" is no tensor; models with sequence or optional values at their border are not supported'
        )
    shape = None if kind.shape is None else tuple(axis if isinstance(axis, int) else None for axis in kind.shape)
    return TensorSpec(name, kind.dtype, shape)
