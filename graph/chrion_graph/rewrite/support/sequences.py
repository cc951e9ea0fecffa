"""Put the values of single steps together into sequences, and recognise steps that come out of one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from onnx import NodeProto

from chrion_graph.attributes import integer
from chrion_graph.rewrite.support.emitter import Emitter
from chrion_graph.rewrite.support.reading import Reading


class Origin(NamedTuple):
    """Where a value of shape [batch, features] is found: at one index of a sequence."""

    sequence: str
    axis: int
    """The sequence's axis of time, 0 or 1."""
    at: int
    length: int | None
    """The sequence's steps, where their number is known."""


@dataclass(frozen=True)
class _Stretch:
    """Values that follow one another in a sequence, or one value that comes from none."""

    value: str
    origin: Origin | None = None
    count: int = 1
    step: int = 1

    @property
    def whole(self) -> bool:
        """Whether this is all of its sequence, in its order."""
        return self.origin is not None and (self.origin.at, self.step, self.count) == (0, 1, self.origin.length)

    def followed_by(self, origins: Iterable[Origin]) -> "_Stretch | None":
        """The run with one value more, if that is the next."""
        if self.origin is None:
            return None
        last = self.origin.at + (self.count - 1) * self.step
        for found in origins:
            step = found.at - last
            if found[:2] == self.origin[:2] and abs(step) == 1 and (self.count == 1 or step == self.step):
                return replace(self, count=self.count + 1, step=step)
        return None


class StepSequences:
    """Finds and makes the sequences of a graph under construction."""

    def __init__(self, reading: Reading, emitter: Emitter) -> None:
        self._reading = reading
        self._emitter = emitter
        self._rolled: dict[str, tuple[Origin, ...]] = {}

    def add(self, value: str, *origins: Origin) -> None:
        """Say where the value of a step is found in what a new layer puts out."""
        self._rolled[value] = origins

    def rolled(self, values: Sequence[str]) -> bool:
        """Whether any of these, or of what they are made of side by side, comes out of a new layer."""
        return any(part in self._rolled for value in values for part in (value, *self._joined(value)))

    def within(self, values: Sequence[str]) -> bool:
        """Whether any of these is a step of a sequence."""
        return any(self._origins(value) for value in values)

    def backward(self, steps: Sequence[Sequence[str]]) -> bool:
        """Whether the inputs of some steps lie against the steps' order in their sequences."""
        return self._pieces(steps[::-1]) < self._pieces(steps)

    def _pieces(self, steps: Sequence[Sequence[str]]) -> int:
        """Pieces to put the inputs of all steps together from; going back in a sequence costs one more."""
        runs = [run for values in zip(*steps, strict=True) for run in self._runs(values)]
        return len(runs) + sum(run.step < 0 for run in runs)

    def stacked(self, values: Sequence[str], name: str = "", batch_first: bool = False) -> str:
        """The values of some steps as one: [steps, batch, features], or [batch, steps, features].

        It takes the name of a value of the graph if one is given.
        """
        runs = self._runs(values)
        parts = None if any(run.origin for run in runs) else self._side_by_side(values)
        if parts is not None:
            return self._emitter.concat([self.stacked(part, "", batch_first) for part in parts], 2, name)
        if len(runs) == 1:
            return self._taken(runs[0], batch_first, name)
        return self._emitter.concat([self._taken(run, batch_first) for run in runs], int(batch_first), name)

    def _runs(self, values: Sequence[str]) -> list[_Stretch]:
        runs: list[_Stretch] = []
        for value in values:
            origins = self._origins(value)
            longer = runs[-1].followed_by(origins) if runs else None
            if longer is not None:
                runs[-1] = longer
            else:
                runs.append(_Stretch(value, origins[0] if origins else None))
        return [self._alone(run) if run.count == 1 else run for run in runs]

    def _alone(self, run: _Stretch) -> _Stretch:
        """A run of one value, out of the shortest sequence that holds it."""
        whole = next((origin for origin in self._origins(run.value) if origin.length == 1), run.origin)
        return replace(run, origin=whole)

    def _taken(self, run: _Stretch, batch_first: bool, name: str = "") -> str:
        """A run as a sequence of its own."""
        if run.origin is None:
            return self._emitter.unsqueeze(run.value, int(batch_first), name)
        sequence, axis, start, _ = run.origin
        turned = axis != batch_first
        if not run.whole:
            sequence = self._emitter.slice(sequence, axis, start, run.count, run.step, "" if turned else name)
        elif name and not turned:
            return self._emitter.again(sequence, name)
        return self._emitter.transpose(sequence, name) if turned else sequence

    def _origins(self, value: str) -> tuple[Origin, ...]:
        if value not in self._rolled:
            origin = self._entry(value) or self._squeezed(value)
            return () if origin is None else (origin,)
        return self._rolled[value]

    def _entry(self, value: str) -> Origin | None:
        """Out of a Gather of one entry; a single index drops its axis."""
        node = self._reading.maker(value, "Gather")
        if node is None or self._reading.shape(node.input[1]) != ():
            return None
        return self._gathered(node, integer(node, "axis", 0))

    def _gathered(self, node: NodeProto, axis: int) -> Origin | None:
        numbers = self._reading.numbers(node, 1)
        return self._origin(node.input[0], axis, numbers[0]) if numbers and len(numbers) == 1 else None

    def _squeezed(self, value: str) -> Origin | None:
        """Out of a part of a sequence with an axis of size 1, and a Squeeze that takes it away."""
        outer = self._reading.maker(value, "Squeeze")
        axis = self._reading.axis(outer, 1) if outer is not None else None
        if outer is None or axis is None:
            return None
        return self.part(outer.input[0], axis + 3 if axis < 0 else axis)

    def part(self, inner: str, axis: int) -> Origin | None:
        """Where a value of three axes, of which this has size 1, is found by a Slice, Split or Gather."""
        if (node := self._reading.maker(inner, "Gather")) is not None:
            return self._gathered(node, axis) if integer(node, "axis", 0) in (axis, axis - 3) else None
        if (node := self._reading.maker(inner, "Slice")) is not None:
            taken = self._reading.slice(node, self._length(node.input[0], axis))
            fits = taken is not None and taken[0] in (axis, axis - 3) and taken[2] - taken[1] == 1
            return self._origin(node.input[0], axis, taken[1]) if taken is not None and fits else None
        if (node := self._reading.maker(inner, "Split")) is not None and integer(node, "axis", 0) in (axis, axis - 3):
            parts = self._reading.parts(node, self._length(node.input[0], axis))
            return next((self._origin(node.input[0], axis, at) for name, at, _ in parts if name == inner), None)
        return None

    def _origin(self, sequence: str, axis: int, index: int) -> Origin | None:
        """A step of a sequence, if it is one: three axes, of which the last holds the features."""
        shape = self._reading.shape(sequence)
        if shape is not None and len(shape) != 3:
            return None
        axis += 3 if axis < 0 else 0
        length = self._length(sequence, axis)
        index += length if index < 0 and length is not None else 0
        return Origin(sequence, axis, index, length) if axis < 2 and index >= 0 else None

    def _length(self, sequence: str, axis: int) -> int | None:
        size = self._emitter.shape(sequence, 3)[axis]
        return size if isinstance(size, int) else None

    def _joined(self, value: str) -> Sequence[str]:
        """What a value is made of side by side."""
        node = self._reading.maker(value, "Concat")
        return list(node.input) if node is not None and integer(node, "axis", 0) in (1, -1) else []

    def _side_by_side(self, values: Sequence[str]) -> list[tuple[str, ...]] | None:
        """The sequences that, side by side, are the sequence of these values."""
        joined = [self._joined(value) for value in values]
        if not joined[0] or any(len(parts) != len(joined[0]) for parts in joined):
            return None
        return list(zip(*joined, strict=True)) if self.rolled(joined[0]) else None
