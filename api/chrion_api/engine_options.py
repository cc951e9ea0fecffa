"""Engines, and what they are told of a stage: part of plans and of profiles."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

ONNXRUNTIME = "onnxruntime"
"""The engine that runs any node."""


class Optimization(StrEnum):
    """How far ONNX Runtime may optimise what it runs."""

    ALL = "All"
    """Fusions and layouts too: equal within the stated tolerance."""
    NONE = "None"
    """Not at all: bit-equal to the normalised model."""

    @property
    def options(self) -> dict[str, bool | int | float | str]:
        """What ONNX Runtime is told of it."""
        return {} if self is Optimization.NONE else {"optimization": self.value}


Options = Mapping[str, bool | int | float | str]
"""What an engine is told of a stage."""

BoundedOptions = dict[Annotated[str, Field(max_length=40)], bool | int | float | Annotated[str, Field(max_length=200)]]

DocumentVersion = Annotated[Literal[1, 2], AfterValidator(lambda _: 2)]
"""Of plans and profiles. What is of version 1 is read into what version 2 has."""

_FIELDS = frozenset({"optimization", "cudaGraph", "cuda_graph"})


def options_of_version_1(value: Any) -> Any:
    """Data of a stage, or of a run, with what version 1 named as fields among its options.

    Raises ValueError, which names the field.
    """
    if not isinstance(value, dict) or not _FIELDS & value.keys():
        return value
    if "options" in value:
        raise ValueError("options: give options, or optimization and cudaGraph, not both")
    optimization = value.get("optimization", Optimization.NONE)
    captured = value.get("cudaGraph", value.get("cuda_graph", False))
    if optimization not in tuple(Optimization):
        raise ValueError(f'optimization: "{str(optimization)[:60]}" must be All or None')
    if not isinstance(captured, bool):
        raise ValueError(f'cudaGraph: "{str(captured)[:60]}" must be true or false')
    options: dict[str, Any] = {}
    if optimization != Optimization.NONE:
        options["optimization"] = str(optimization)
    if captured:
        options["capture"] = True
    return {**{name: given for name, given in value.items() if name not in _FIELDS}, "options": options}
