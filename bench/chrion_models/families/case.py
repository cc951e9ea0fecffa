"""One model of the suite: its name, how to build it, and what to feed it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import onnx

from chrion_api import InputSpec
from chrion_models.inputs import Fill, fills, input_specs


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
        return fills(self.values)

    @property
    def specs(self) -> tuple[InputSpec, ...]:
        """The inputs that it is planned for."""
        return input_specs(self.inputs, self.values)
