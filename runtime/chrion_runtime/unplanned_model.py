"""A model as it is, in ONNX Runtime's default session: what answers for as long as there is no plan."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import onnx

from chrion_api import InputSpec, Shape, StateLink
from chrion_graph.errors import InputMismatch, InvalidModel
from chrion_graph.limits import Limits
from chrion_graph.load import read_model
from chrion_graph.normalise import check_edges
from chrion_graph.optional_inputs import stored_defaults
from chrion_graph.ort import brief
from chrion_graph.types import TensorType
from chrion_runtime.border import Border, Kinds, holds_recurrent, picked
from chrion_runtime.devices import HOST, Tensor, open_devices
from chrion_runtime.engines import Ports
from chrion_runtime.engines.onnxruntime.baseline import plain_session
from chrion_runtime.engines.onnxruntime.kernel import SessionKernel
from chrion_runtime.errors import RunError, RunStopped
from chrion_runtime.run.state_transfer import StateTransfer
from chrion_runtime.sequences import Sequences, SequenceStore, state_links
from chrion_runtime.servable import Array, SequenceStep, StageObserver, TensorSpec
from chrion_runtime.stop import Stop


class UnplannedModel:
    """Runs a model without plans, and checks requests as `PlannedModel` does; `run` may be called from many threads.

    Its state can be taken over: give a planned model the same store of sequences.
    """

    def __init__(
        self,
        path: Path,
        *,
        inputs: Sequence[InputSpec] = (),
        state: Sequence[StateLink] = (),
        sequences: SequenceStore | None = None,
        limits: Limits | None = None,
    ) -> None:
        """`inputs` and `state` as `PlannedModel` has them.

        Raises ModelError if the file cannot be loaded as a model or has no such inputs, PlanRefused if an input or
        output is not a tensor, and StateRefused.
        """
        model = read_model(path, limits)
        check_edges(path, model.graph)
        device = open_devices([HOST])[HOST]
        try:
            session = plain_session(path, 0, device, parallel=False)
        except Exception as error:  # noqa: BLE001, ONNX Runtime raises many types
            raise InvalidModel(f"{path}: ONNX Runtime cannot load it: {brief(error)}") from None
        defaults = stored_defaults(model, path.parent)
        overridable = [value for value in session.get_overridable_initializers() if value.name in defaults]
        self.kinds = _kinds([*session.get_inputs(), *overridable], model.graph.input)
        outputs = _kinds(session.get_outputs(), model.graph.output)
        self._border = Border(self.kinds, outputs, holds_recurrent(model), defaults)
        self.inputs, self.outputs = self._border.inputs, self._border.outputs
        _check_fit(inputs, self.inputs)
        self.state = state_links(state, self.kinds, outputs)
        """The input that each output feeds within a sequence."""
        self._memory = device.memory
        self._kernel = SessionKernel(session, device.memory, captures=False)
        self._ports = Ports(tuple(self.kinds), tuple(outputs))
        fills = {spec.name: spec.value for spec in inputs if spec.value is not None}
        tensors = {name: kind for name, kind in self.kinds.items() if kind is not None}
        self._sequences = Sequences(self.state, tensors, device.memory, sequences, fills, defaults)
        self._begins = {name: _begin(kind, name, inputs) for name, kind in tensors.items()}
        self.heard: Callable[[Mapping[str, Tensor]], None] | None = None
        """Told the values of each run that went well."""

    @property
    def sequences(self) -> SequenceStore:
        """The sequences whose state is kept."""
        return self._sequences.store

    def run(
        self,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] | None = None,
        sequence: SequenceStep | None = None,
        observer: StageObserver | None = None,
        stop: Stop | None = None,
    ) -> dict[str, Array]:
        """Answer one request, as `PlannedModel.run`; an `observer` hears nothing, for there are no stages."""
        del observer
        feeds = self._border.feeds(inputs, self._sequences.inputs if sequence else ())
        if sequence is None:
            answer = self._answer(feeds, stop=stop)
        else:
            answer = self._sequences.run(sequence, feeds, outputs, partial(self._answer, stop=stop), stop)
        return picked(answer, outputs)

    def _answer(
        self, feeds: Mapping[str, Array], transfer: StateTransfer | None = None, stop: Stop | None = None
    ) -> dict[str, Array]:
        given: Mapping[str, Tensor] = feeds
        if transfer is not None:
            self._sequences.begin(transfer, feeds, self._begins)
            given = {**feeds, **{name: held.tensor for name, held in transfer.taken.items()}}
        try:
            results = self._kernel.run(self._ports, [given[name] for name in self._ports.reads], stop)
        except RunError:
            if stop is not None and stop.is_set:
                raise RunStopped from None
            raise
        if self.heard is not None:
            self.heard(given)
        if transfer is not None:
            return transfer.split(dict(zip(self._ports.writes, results, strict=True)), self._memory)
        return dict(zip(self._ports.writes, map(np.asarray, results), strict=True))


class _SessionValue(Protocol):
    """What a session says of an input or an output."""

    name: str
    type: str
    shape: list[int | str | None]


def _kinds(values: Sequence[_SessionValue], declared: Iterable[onnx.ValueInfoProto]) -> Kinds:
    """The types of what a session takes or answers: as the model declares them, else as ONNX Runtime infers them."""
    known = {value.name: TensorType.from_proto(value.type) for value in declared if value.HasField("type")}
    found: dict[str, TensorType | None] = {}
    for value in values:
        kind = known.get(value.name)
        told = kind is not None and kind.shape is not None
        found[value.name] = kind if told else TensorType.from_ort(value.type, value.shape)
    return found


def _check_fit(given: Sequence[InputSpec], inputs: Sequence[TensorSpec]) -> None:
    """Raise InputMismatch for names that no input has, and for shapes that its input cannot have."""
    takes = {spec.name: spec for spec in inputs}
    for spec in given:
        if spec.name not in takes:
            raise InputMismatch(f'inputs: the model has no input "{spec.name}"; it has {", ".join(takes)}')
        for shape in spec.buckets:
            if misfit := takes[spec.name].misfit(shape):
                raise InputMismatch(f"inputs.{spec.name}: {misfit}")


def _begin(kind: TensorType, name: str, specs: Sequence[InputSpec]) -> Shape:
    """The shape of the state that a sequence begins with, where neither the model nor a request says it."""
    given = next((spec.buckets[0] for spec in specs if spec.name == name and spec.buckets), None)
    return given or tuple(axis if isinstance(axis, int) else 1 for axis in kind.shape or ())
