"""What users of the Python face may write in several forms, as the one that all else works with."""

from collections.abc import Mapping, Sequence
from math import inf
from os import PathLike
from pathlib import Path
from typing import Any

from chrion.errors import UsageError
from chrion_api import EXACT, SLO, InputSpec, Mode, PlanFile, Precision, Shape, StateLink
from chrion_runtime.choice.documents import read_plan_file

Inputs = Mapping[str, Shape | Sequence[Shape]] | Sequence[InputSpec]
"""A shape, or several for several buckets, by input; or InputSpecs."""

State = Mapping[str, str] | Sequence[StateLink]
"""The input that each output feeds, by output; or StateLinks."""


def file_path(path: str | Path, name: str) -> Path:
    """A path that was given as the argument `name`. Raises UsageError."""
    if not isinstance(path, str | PathLike):
        raise UsageError(f"{name}: give the path of a file, not {type(path).__name__}")
    return Path(path)


def device_names(devices: Sequence[str]) -> tuple[str, ...]:
    """Devices by their names. Raises UsageError."""
    if odd := type(devices).__name__ if isinstance(devices, str) else _odd(devices, str):
        raise UsageError(f'devices: give a list of names, such as ["cpu"], not {odd}')
    return tuple(devices)


def whole_number(number: int, name: str) -> int:
    """A number that was given as the argument `name`, 0 or more. Raises UsageError."""
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise UsageError(f"{name}: {number!r} must be a whole number, 0 or more")
    return number


def positive_seconds(seconds: float, name: str) -> float:
    """Seconds that were given as the argument `name`. Raises UsageError."""
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 < seconds < inf:
        raise UsageError(f"{name}: {seconds!r} must be a number of seconds greater than 0")
    return seconds


def plan_file(plan: PlanFile | str | Path) -> PlanFile:
    """A plan, or the one in a file. Raises UsageError, Unreadable, InvalidDocument."""
    return plan if isinstance(plan, PlanFile) else read_plan_file(file_path(plan, "plan"))


def state_links(state: State) -> tuple[StateLink, ...]:
    """State in any of its forms as StateLinks. Raises UsageError, InvalidField."""
    if not isinstance(state, Mapping):
        if odd := _odd(state, StateLink):
            raise UsageError(f"state: give inputs by output, or StateLinks, not {odd}")
        return tuple(state)
    return tuple(StateLink.parse({"output": output, "input": name}, "state") for output, name in state.items())


def input_specs(inputs: Inputs) -> tuple[InputSpec, ...]:
    """Inputs in any of their forms as InputSpecs. Raises UsageError, InvalidField."""
    if not isinstance(inputs, Mapping):
        if odd := _odd(inputs, InputSpec):
            raise UsageError(f"inputs: give shapes by name, or InputSpecs, not {odd}")
        return tuple(inputs)
    found = []
    for name, shapes in inputs.items():
        several = isinstance(shapes, Sequence) and bool(shapes) and not isinstance(shapes[0], int)
        found.append(InputSpec.parse({"name": name, "shapes": shapes if several else [shapes]}, f"inputs.{name}"))
    return tuple(found)


def objective(slo: SLO | Mapping[str, Any] | None) -> SLO:
    """An objective in any of its forms. Raises InvalidField."""
    if slo is None:
        return SLO()
    return slo if isinstance(slo, SLO) else SLO.parse(_plain(slo), "slo")


def as_precision(precision: Precision | Mapping[str, Any] | None) -> Precision:
    """A precision in any of its forms. Raises InvalidField."""
    if precision is None:
        return EXACT
    return precision if isinstance(precision, Precision) else Precision.parse(_plain(precision), "precision")


def as_mode(mode: Mode | str) -> Mode:
    """A mode by its name. Raises UsageError."""
    try:
        return Mode(mode)
    except ValueError:
        raise UsageError(f'mode: "{mode}" must be one of {", ".join(Mode)}') from None


def _odd(values: object, kind: type) -> str | None:
    """The type of the first value that is not of a kind, or of what holds no values at all; None where all are."""
    if not isinstance(values, Sequence):
        return type(values).__name__
    return next((type(value).__name__ for value in values if not isinstance(value, kind)), None)


def _plain(value: object) -> object:
    """A mapping as the dictionary that documents are read from; anything else as it is, which they refuse."""
    return dict(value) if isinstance(value, Mapping) else value
