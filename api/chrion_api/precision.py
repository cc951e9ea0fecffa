"""How much precision a model may trade for time and memory; none by default."""

from enum import StrEnum
from typing import Self

from pydantic import Field

from chrion_api.document import Document
from chrion_api.engine_options import Options

WEIGHTS = "weights"
"""The engine option that names the format of its weights."""


class WeightFormat(StrEnum):
    """The format in which weights are kept."""

    FLOAT32 = "Float32"
    """As they are."""
    FLOAT16 = "Float16"
    """Rounded to 16 bits."""
    INT8 = "Int8"
    """Rounded to 8 bits, with a scale for each row."""

    @classmethod
    def of(cls, options: Options) -> Self:
        """The format that these options ask for. Raises ValueError."""
        return cls(str(options.get(WEIGHTS, cls.FLOAT32)))

    @property
    def bytes(self) -> int:
        """Bytes of one weight."""
        return {WeightFormat.FLOAT32: 4, WeightFormat.FLOAT16: 2, WeightFormat.INT8: 1}[self]


class Precision(Document):
    """How far the recurrent kernels on the CPU may round weights, where that makes them faster."""

    weights: WeightFormat
    """Float32 keeps weights as they are; Float16 and Int8 round them, and Int8 inputs and states as well where the
    processor multiplies bytes."""
    max_error: float = Field(default=0.01, gt=0, le=1)
    """Plans whose answers are further off than this are dropped: the largest difference from ONNX Runtime's, relative
    to the largest value of the same output, on random inputs and on the given samples."""


EXACT = Precision(weights=WeightFormat.FLOAT32)
"""The default: nothing is rounded."""


def rounds_weights(options: Options) -> bool:
    """Whether these options ask for rounded weights."""
    return options.get(WEIGHTS, WeightFormat.FLOAT32) != WeightFormat.FLOAT32
