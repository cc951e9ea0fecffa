"""One model of the catalogue: where it is taken from, what it is, and what to feed it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from chrion_api import InputSpec
from chrion_models.inputs import Fill, input_specs
from chrion_models.packages import RealModel


@dataclass(frozen=True, eq=False)
class PublishedModel(RealModel):
    """A model that somebody published, with the shapes to run it at."""

    kind: str
    """What it does."""
    traits: str
    """Who exported it, and what of ONNX is rare in it."""
    inputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """The shape of every input with open axes, or with a value."""
    values: Mapping[str, Fill] = field(default_factory=dict)
    """What inputs may hold where neither random floats nor zeros will do."""
    refused: str = ""
    """What it is refused with, since it has no tensors at its edge; empty where it is served."""

    @property
    def specs(self) -> tuple[InputSpec, ...]:
        """The inputs that it is planned for."""
        return input_specs(self.inputs, self.values)
