"""Options of commands in groups: a parameter that is a frozen dataclass stands for an option for each of its fields."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Any, get_type_hints

from chrion.options import (
    MAX_ERROR,
    GpuMemoryOption,
    LatencyOption,
    MaxErrorOption,
    MaxMemoryOption,
    MaxModelBytesOption,
    MaxNodesOption,
    MaxSecondsOption,
    ModeOption,
    PrecisionOption,
    SampleOption,
    parse_limits,
    parse_objective,
    read_slo,
)
from chrion_api import SLO, Mode, Objective, Precision, WeightFormat
from chrion_graph.limits import Limits


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """The command as Typer is to read it: with each group spread out into its fields, which are options like others."""
    hints = get_type_hints(command, include_extras=True)
    groups = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    parameters: list[Parameter] = []
    for parameter in signature(command).parameters.values():
        if parameter.name in groups:
            parameters += _spread(groups[parameter.name])
        else:
            parameters.append(parameter.replace(kind=Parameter.KEYWORD_ONLY, annotation=hints[parameter.name]))

    @wraps(command)
    def call(**given: Any) -> None:
        command(**_gathered(given, groups))

    call.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call


def _spread(group: Any) -> list[Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        Parameter(field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name])
        for field in fields(group)
    ]


def _gathered(given: Mapping[str, Any], groups: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a command, those of groups put together again."""
    of_groups = {field.name for group in groups.values() for field in fields(group)}
    alone = {name: value for name, value in given.items() if name not in of_groups}
    made = {name: group(**{field.name: given[field.name] for field in fields(group)}) for name, group in groups.items()}
    return {**alone, **made}


@dataclass(frozen=True)
class ObjectiveOptions:
    """What is asked for."""

    latency: LatencyOption = None
    gpu_memory: GpuMemoryOption = None
    mode: ModeOption = Mode.AUTO

    @property
    def slo(self) -> SLO:
        """The objective without its mode. Raises InvalidField."""
        return parse_objective(self.latency, self.gpu_memory)

    def read(self, file: Path | None) -> Objective:
        """The whole objective, from a file in place of these options where there is one. Raises ChrionError."""
        return read_slo(file, self.latency, self.gpu_memory, self.mode)


@dataclass(frozen=True)
class RoundingOptions:
    """What may be given up of precision, and what answers are compared on then."""

    precision: PrecisionOption = WeightFormat.FLOAT32
    max_error: MaxErrorOption = MAX_ERROR
    sample: SampleOption = None

    @property
    def wanted(self) -> Precision:
        """The precision that plans must keep."""
        return Precision(weights=self.precision, max_error=self.max_error)


@dataclass(frozen=True)
class LimitOptions:
    """What a model may be and take."""

    max_nodes: MaxNodesOption = 100_000
    max_model_bytes: MaxModelBytesOption = "8Gi"
    max_memory: MaxMemoryOption = None
    max_seconds: MaxSecondsOption = 120.0

    @property
    def limits(self) -> Limits:
        """The limits on a model. Raises UsageError."""
        return parse_limits(self.max_nodes, self.max_model_bytes, self.max_memory, self.max_seconds)
