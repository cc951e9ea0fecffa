"""What a model takes and answers, and whether a request fits: alike for every way in which the model may run."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import onnx

from chrion_api.one_line import one_line
from chrion_graph.inputs import NO_DEFAULTS
from chrion_graph.load import graphs
from chrion_graph.recurrent import RECURRENT
from chrion_graph.types import TensorType
from chrion_runtime.errors import PlanRefused, RunError, UnfitValues
from chrion_runtime.servable import Array, TensorSpec

Kinds = Mapping[str, TensorType | None]
"""The types of a model's inputs or outputs, by name; None for what is no tensor."""


class Border:
    """A model's inputs and outputs."""

    def __init__(
        self, inputs: Kinds, outputs: Kinds, recurrent: bool, defaults: Mapping[str, Array] = NO_DEFAULTS
    ) -> None:
        """`recurrent` says that it holds recurrent nodes; `defaults` are those of inputs that may be left out.

        Raises PlanRefused for what is no tensor.
        """
        self.inputs = tuple(_spec(name, kind, name in defaults) for name, kind in inputs.items())
        self._defaults = defaults
        self.outputs = tuple(_spec(name, kind) for name, kind in outputs.items())
        # ONNX Runtime ends the whole process at a recurrent node with nothing to run over.
        self._recurrent = recurrent
        self._specs = {spec.name: spec for spec in self.inputs}

    def feeds(self, inputs: Mapping[str, Array], carried: Collection[str] = ()) -> dict[str, Array]:
        """A request's arrays as the model takes them; inputs that are `carried` as state must be left out.

        Raises RunError for inputs that are missing, unknown or of another element type, and UnfitValues.
        """
        if not isinstance(inputs, Mapping):
            raise RunError(f"inputs: give arrays by the names of the model's inputs, not {type(inputs).__name__}")
        names = self._specs.keys() - carried
        if inputs.keys() != names:
            inputs = {**{name: self._defaults[name] for name in names & self._defaults.keys()}, **inputs}
        if inputs.keys() != names:
            missing, unknown = names - inputs.keys(), inputs.keys() - names
            raise RunError(
                one_line(f"inputs: missing {sorted(missing)}, unknown {sorted(unknown)}", 500)
                + one_line(f"; the model takes {list(self._specs)}", 500)
            )
        feeds = {name: _array(name, array) for name, array in inputs.items()}
        for name, array in feeds.items():
            spec = self._specs[name]
            if array.dtype != spec.dtype:
                if not (spec.dtype.hasobject and array.dtype.kind == "U"):
                    raise RunError(f"inputs.{name}: is {array.dtype}, the model takes {_in_words(spec.dtype)}")
                feeds[name] = array.astype(object)
            # No stage may read what a rewrite has decided, so that none of them would tell.
            if misfit := spec.misfit(array.shape):
                raise UnfitValues(f"inputs.{name}: {misfit}")
            if self._recurrent and not array.size:
                raise UnfitValues(f"inputs.{name}: has an axis of length 0, which recurrent models do not take")
        return feeds


def _array(name: str, value: object) -> Array:
    """What was given for an input, as an array. Raises RunError."""
    try:
        return np.asarray(value, order="C")
    except (TypeError, ValueError, RuntimeError) as error:  # ragged lists, or tensors of frameworks on another device
        kind = type(value).__name__
        raise RunError(one_line(f"inputs.{name}: {kind} cannot be made a numpy array: {error}", 500)) from None


def picked(answer: dict[str, Array], outputs: Sequence[str] | None) -> dict[str, Array]:
    """The outputs of an answer that were asked for; all where None were named. Raises RunError."""
    if outputs is None:
        return answer
    if isinstance(outputs, str):
        raise RunError(f'outputs: give a list of names, such as ["{one_line(outputs, 100)}"], not a string')
    if not isinstance(outputs, Iterable):
        raise RunError(f"outputs: give a list of names, not {type(outputs).__name__}")
    if absent := [name for name in outputs if not isinstance(name, str) or name not in answer]:
        raise RunError(f"outputs: the model has no {absent}; it has {list(answer)}")
    return {name: answer[name] for name in outputs}


def _in_words(dtype: np.dtype[Any]) -> str:
    return "strings" if dtype.hasobject else str(dtype)


def holds_recurrent(model: onnx.ModelProto) -> bool:
    """Whether any node of a model is recurrent, in bodies and functions too."""
    nodes = chain(
        (node for body in graphs(model) for node in body.node),
        (node for function in model.functions for node in function.node),
    )
    return any(node.op_type in RECURRENT for node in nodes)


def _spec(name: str, kind: TensorType | None, optional: bool = False) -> TensorSpec:
    if kind is None:
        raise PlanRefused(f'"{name}" is not a tensor: sequence and optional inputs and outputs are not supported')
    shape = None if kind.shape is None else tuple(axis if isinstance(axis, int) else None for axis in kind.shape)
    return TensorSpec(name, kind.dtype, shape, optional)
