"""What to plan a model for, where its first calls say it: their shapes, and values that zeros cannot stand for."""

from collections.abc import Collection, Mapping, Sequence
from threading import Event, Lock

import numpy as np

from chrion_api import InputSpec, Shape
from chrion_graph.types import STRING, TensorType
from chrion_runtime.border import Kinds
from chrion_runtime.devices import Tensor
from chrion_runtime.servable import Array

COUNTED_SECONDS = 1.0
"""Calls count that end this soon after the first one."""
MOST_SHAPES = 4
"""So many sets of shapes are planned for at most; each takes its time to plan."""

Number = bool | int
_Heard = dict[str, tuple[Shape, Number | None]]
"""By input, its shape in a call, and the value that fills it, where it is one of those that zeros would stand for."""


class FirstCalls:
    """Listens to the first calls of a model. Safe to use from any thread."""

    def __init__(self, kinds: Kinds, given: Sequence[InputSpec], state: Collection[str] = ()) -> None:
        """`given` are shapes and values that are known beforehand; `state` names inputs that sequences fill."""
        self._names = tuple(kinds)
        self._given = {spec.name: spec for spec in given}
        self._filled = [
            name
            for name, kind in kinds.items()
            if kind is not None and zeros_stand_for(kind) and name not in state and self._value(name) is None
        ]
        self._guard = Lock()
        self._heard: list[_Heard] = []
        self._counted = False
        self.begun = Event()
        """Whether there was a call."""

    def _value(self, name: str) -> Number | float | None:
        return self._given[name].value if name in self._given else None

    def hear(self, feeds: Mapping[str, Tensor]) -> None:
        """A call that went well; once they were counted, more are none of the first."""
        if self._counted:
            return
        with self._guard:
            if len(self._heard) < MOST_SHAPES and all(self._differs(feeds, one) for one in self._heard):
                self._heard.append({name: (feeds[name].shape, self._fill(name, feeds[name])) for name in self._names})
        self.begun.set()

    def _differs(self, feeds: Mapping[str, Tensor], one: _Heard) -> bool:
        return any(feeds[name].shape != shape for name, (shape, _) in one.items())

    def _fill(self, name: str, tensor: Tensor) -> Number | None:
        return single_value(np.asarray(tensor)) if name in self._filled else None

    def specs(self) -> tuple[InputSpec, ...]:
        """What to plan for: what was given, and of inputs without shapes there what was heard so far."""
        self._counted = True
        with self._guard:
            heard = sorted(self._heard, key=lambda one: [shape for shape, _ in one.values()])
        names = dict.fromkeys((*self._given, *(self._names if heard else ())))
        return tuple(self._spec(name, [one[name] for one in heard if name in one]) for name in names)

    def _spec(self, name: str, heard: Sequence[tuple[Shape, Number | None]]) -> InputSpec:
        given = self._given.get(name)
        values = {value for _, value in heard}
        value = self._value(name)
        if value is None and len(values) == 1:
            value = values.pop()
        shapes = given.buckets if given is not None and given.buckets else tuple(shape for shape, _ in heard)
        return InputSpec(name=name, shapes=shapes, value=value)


def tell_nothing_more(kinds: Kinds, given: Sequence[InputSpec]) -> bool:
    """Whether all is known that calls could tell: each shape and, unless inputs were given, what to fill them with."""
    shaped = {spec.name for spec in given if spec.buckets}
    if any(is_open(kind) for name, kind in kinds.items() if name not in shaped):
        return False
    return bool(given) or not any(kind is not None and zeros_stand_for(kind) for kind in kinds.values())


def is_open(kind: TensorType | None) -> bool:
    """Whether the model leaves the length of an axis, or even the rank, to each call."""
    return kind is None or kind.shape is None or not all(isinstance(axis, int) for axis in kind.shape)


def zeros_stand_for(kind: TensorType) -> bool:
    """Whether planning fills an input of this type with zeros, where nothing is said; floats are random."""
    return kind.element != STRING and not np.issubdtype(kind.dtype, np.floating)


def single_value(array: Array) -> Number | None:
    """The value of all of an array's elements; None where they differ, or where there are none."""
    if not array.size:
        return None
    first = array.flat[0]
    return first.item() if (array == first).all() else None
