"""Views: the nodes that exporters put around recurrent layers rearrange axes and leave every element where it is.

A value is seen as axes, each of which is made up of atoms, the axes that its source has: so Squeeze, Transpose, Reshape
and their like become arithmetic on tuples, and a kernel reads and writes where the elements lie.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import NamedTuple

Axis = tuple[str, ...]
"""Atoms, the last of them the innermost; none for an axis of size one."""

Sizes = Mapping[str, int]
"""Sizes of atoms, as far as they are known."""


class NoView(Exception):
    """What an operation makes is no view, or none that is understood here."""


class Made(NamedTuple):
    """What a level of a stack makes: `y`, or its last `hidden` or `cell` states."""

    level: int
    what: str


@dataclass(frozen=True)
class ValueView:
    """A value as axes of its source: of a value that is given, by its name, or of what a level makes."""

    source: str | Made
    axes: tuple[Axis, ...]
    sizes: Sizes
    starts: Mapping[str, int] = field(default_factory=dict)
    """Where along some atoms it begins; there, `sizes` says how far it goes."""

    def size(self, axis: Axis) -> int | None:
        """Elements along an axis; None where that depends on the run."""
        return prod(self.sizes[atom] for atom in axis) if all(atom in self.sizes for atom in axis) else None

    def squeezed(self, axes: Sequence[int]) -> "ValueView":
        """Without some axes of size one. Raises NoView."""
        gone = {self._place(axis, len(self.axes)) for axis in axes}
        if any(self.size(self.axes[place]) != 1 for place in gone):
            raise NoView
        return replace(self, axes=tuple(axis for place, axis in enumerate(self.axes) if place not in gone))

    def unsqueezed(self, axes: Sequence[int]) -> "ValueView":
        """With axes of size one at some places of the result. Raises NoView."""
        rank = len(self.axes) + len(axes)
        new = {self._place(axis, rank) for axis in axes}
        rest = iter(self.axes)
        return replace(self, axes=tuple(() if place in new else next(rest) for place in range(rank)))

    def transposed(self, order: Sequence[int]) -> "ValueView":
        """With its axes in another order. Raises NoView."""
        if sorted(order) != list(range(len(self.axes))):
            raise NoView
        return replace(self, axes=tuple(self.axes[place] for place in order))

    def reshaped(self, shape: Sequence[int]) -> "ValueView":
        """In another shape, where each of its axes is some of these in a row, and that is certain. Raises NoView.

        0 is the axis at the same place, and one -1 what is left, as ONNX has them.
        """
        found = next(self._runs(shape, 0, 0), None)
        if found is None or list(shape).count(-1) > 1:
            raise NoView
        return replace(self, axes=found)

    def cut(self, axis: int, start: int, size: int) -> "ValueView":
        """A part of it along an axis of one atom whose size is known. Raises NoView."""
        place = self._place(axis, len(self.axes))
        whole = self.size(self.axes[place])
        if len(self.axes[place]) != 1 or whole is None or not 0 <= start < start + size <= whole:
            raise NoView
        (atom,) = self.axes[place]
        starts = {**self.starts, atom: self.starts.get(atom, 0) + start}
        return replace(self, sizes={**self.sizes, atom: size}, starts=starts)

    def _place(self, axis: int, rank: int) -> int:
        if not -rank <= axis < rank:
            raise NoView
        return axis % rank

    def _runs(self, shape: Sequence[int], place: int, taken: int) -> Iterator[tuple[Axis, ...]]:
        """Ways to make up the shape from `place` on out of the axes that are not taken."""
        if place == len(shape):
            if all(self.size(axis) == 1 for axis in self.axes[taken:]):
                yield ()
            return
        for end in range(taken, len(self.axes) + 1):
            run: Axis = tuple(atom for axis in self.axes[taken:end] for atom in axis)
            wanted = shape[place]
            same = place < len(self.axes) and run == self.axes[place]
            if (wanted == -1) or (wanted == 0 and same) or (wanted > 0 and self.size(run) == wanted):
                yield from ((run, *rest) for rest in self._runs(shape, place + 1, end))


@dataclass(frozen=True)
class Joined:
    """Views one after another along an axis."""

    parts: tuple[ValueView, ...]
    axis: int


@dataclass(frozen=True)
class Strided:
    """Where a view lies in a dense array."""

    offset: int
    """Of its first element, in elements."""
    strides: Mapping[str, int]
    """Of each atom, in elements."""


def placed(
    value: ValueView | Joined, shapes: Mapping[Made, Sizes]
) -> tuple[tuple[int, ...], list[tuple[Made, Strided]]]:
    """The shape of a dense array that holds what levels make, and where each part of it lies there.

    `shapes` are the sizes of the atoms of each.
    """
    parts, joined = ((value,), 0) if isinstance(value, ValueView) else (value.parts, value.axis)
    joined %= len(parts[0].axes)
    made = [view.source for view in parts if isinstance(view.source, Made)]
    sizes = [
        [prod(shapes[source][atom] for atom in axis) for axis in view.axes]
        for source, view in zip(made, parts, strict=True)
    ]
    shape = [*sizes[0]]
    shape[joined] = sum(size[joined] for size in sizes)
    found, start = [], 0
    for source, view, size in zip(made, parts, sizes, strict=True):
        strides: dict[str, int] = {}
        for number, axis in enumerate(view.axes):
            stride = prod(shape[number + 1 :])
            for atom in reversed(axis):
                strides[atom] = stride
                stride *= shapes[source][atom]
        found.append((source, Strided(start * prod(shape[joined + 1 :]), strides)))
        start += size[joined]
    return tuple(shape), found
