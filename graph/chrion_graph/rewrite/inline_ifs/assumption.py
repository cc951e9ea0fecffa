"""What a graph with inlined Ifs takes for granted of a request."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from chrion_api import Rewrite, Shape
from chrion_graph.errors import RewriteError
from chrion_graph.rewrite.inline_ifs.inline import NAME

PinnedShape = tuple[int | None, ...]
"""A shape of which some axes must have these sizes; the others, which are None, may have any."""


@dataclass(frozen=True)
class Assumption:
    """Shapes and values of inputs that decide which branches run."""

    shapes: Mapping[str, PinnedShape] = field(default_factory=dict)
    values: Mapping[str, bool | int | float] = field(default_factory=dict)
    """What every element of an input is."""

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Self:
        """As it is in the parameters of the rewrite. Raises RewriteError."""
        shapes, values = parameters.get("shapes", {}), parameters.get("values", {})
        if not (
            isinstance(shapes, dict)
            and all(isinstance(axes, list) for axes in shapes.values())
            and all(isinstance(axis, int | None) for axes in shapes.values() for axis in axes)
            and isinstance(values, dict)
            and all(isinstance(value, bool | int | float) for value in values.values())
        ):
            raise RewriteError(f"{NAME}: shapes and values are not those of inputs: {shapes}, {values}")
        return cls({name: tuple(axes) for name, axes in shapes.items()}, dict(values))

    def __str__(self) -> str:
        """For people, such as `input 1x?x576, sr 16000`."""
        shapes = {
            name: "x".join("?" if axis is None else str(axis) for axis in axes) for name, axes in self.shapes.items()
        }
        return ", ".join(f"{name} {what}" for name, what in {**shapes, **self.values}.items())

    def holds(
        self, shapes: Mapping[str, Shape], feeds: Mapping[str, NDArray[Any]], planned: Mapping[str, Shape]
    ) -> bool:
        """Whether a request of these shapes is as assumed in a bucket that was `planned` for others.

        Values that `feeds` lacks are not known to be, nor is what one of another rank does where it decides.
        """
        return all(_fits(shapes.get(name, ()), pinned) for name, pinned in self.shapes.items()) and all(
            name in feeds and feeds[name].ndim == len(planned[name]) and bool(np.all(feeds[name] == value))
            for name, value in self.values.items()
        )


def _fits(shape: Shape, pinned: PinnedShape) -> bool:
    return len(shape) == len(pinned) and all(
        size is None or size == own for own, size in zip(shape, pinned, strict=True)
    )


def assumption(rewrites: Iterable[Rewrite]) -> Assumption | None:
    """What a plan with these rewrites takes for granted; None where nothing. Raises RewriteError."""
    return next((Assumption.of(rewrite.parameters) for rewrite in rewrites if rewrite.name == NAME), None)
