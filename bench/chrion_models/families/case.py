"""One model of the suite: its name, how to build it, and what to feed it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import onnx

from chrion_api import InputSpec
from chrion_models.inputs import Fill


@dataclass(frozen=True, eq=False)
class ModelCase:
    """A model that can be built at any time, the same bytes each time, with the shapes to run it at."""

    name: str
    """A readable name that stays, such as `gru-bidirectional-l2-h128-s128-b1`."""
    build: Callable[[], onnx.ModelProto]
    """Makes the model."""
    inputs: Mapping[str, tuple[int, ...]]
    """The shape of every input."""
    values: Mapping[str, Fill] = field(default_factory=dict)
    """What integer inputs may hold: one number, or the range to draw from."""

    @property
    def fills(self) -> dict[str, bool | int | float]:
        """`values` with one number an input, for what takes no range: the largest of it."""
        return {name: max(value) if isinstance(value, range) else value for name, value in self.values.items()}

    @property
    def specs(self) -> tuple[InputSpec, ...]:
        """The inputs that it is planned for."""
        held = self.fills
        return tuple(InputSpec(name=name, shape=shape, value=held.get(name)) for name, shape in self.inputs.items())
