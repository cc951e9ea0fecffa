"""How much of a model's precision may be given up for time and memory: none, unless somebody asks."""

from enum import StrEnum
from typing import Self

from pydantic import Field

from chrion_api.document import Document
from chrion_api.engine_options import Options

WEIGHTS = "weights"
"""The option of engines that says as what they keep weights."""


class WeightFormat(StrEnum):
    """As what weights are kept."""

    FLOAT32 = "Float32"
    """As they are."""
    FLOAT16 = "Float16"
    """Rounded to 16 bits."""
    INT8 = "Int8"
    """Rounded to 8 bits, with a scale for each row."""

    @classmethod
    def of(cls, options: Options) -> Self:
        """As what these options have weights kept. Raises ValueError."""
        return cls(str(options.get(WEIGHTS, cls.FLOAT32)))

    @property
    def bytes(self) -> int:
        """What a weight takes."""
        return {WeightFormat.FLOAT32: 4, WeightFormat.FLOAT16: 2, WeightFormat.INT8: 1}[self]


class Precision(Document):
    """What the recurrent kernels on the CPU may round weights to, where that makes them faster."""

    weights: WeightFormat
    """Float32 keeps weights as they are; Float16 and Int8 round them, and Int8 inputs and states as well where the
    processor multiplies bytes."""
    max_error: float = Field(default=0.01, gt=0, le=1)
    """Plans whose answers are further off than this are dropped: the largest difference from ONNX Runtime's, as a part
    of the largest value of the same output, on random inputs and on those that were given."""


EXACT = Precision(weights=WeightFormat.FLOAT32)
"""What holds where nobody asks for anything else."""


def rounds_weights(options: Options) -> bool:
    """Whether what runs with these options keeps weights in less precision than they have."""
    return options.get(WEIGHTS, WeightFormat.FLOAT32) != WeightFormat.FLOAT32
