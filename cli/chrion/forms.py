"""What users of the Python face may write in several forms, as the one that all else works with."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chrion.errors import UsageError
from chrion_api import EXACT, SLO, InputSpec, Mode, PlanFile, Precision, Shape, StateLink
from chrion_runtime.choice.documents import read_plan_file

Inputs = Mapping[str, Shape | Sequence[Shape]] | Sequence[InputSpec]
"""A shape, or several for several buckets, by input; or InputSpecs."""

State = Mapping[str, str] | Sequence[StateLink]
"""The input that each output feeds, by output; or StateLinks."""


def plan_file(plan: PlanFile | str | Path) -> PlanFile:
    """A plan, or the one in a file. Raises Unreadable, InvalidDocument."""
    return plan if isinstance(plan, PlanFile) else read_plan_file(Path(plan))


def state_links(state: State) -> tuple[StateLink, ...]:
    """State in any of its forms as StateLinks."""
    if not isinstance(state, Mapping):
        return tuple(state)
    return tuple(StateLink(output=output, input=name) for output, name in state.items())


def input_specs(inputs: Inputs) -> tuple[InputSpec, ...]:
    """Inputs in any of their forms as InputSpecs. Raises InvalidField."""
    if not isinstance(inputs, Mapping):
        if odd := next((one for one in inputs if not isinstance(one, InputSpec)), None):
            raise UsageError(f"inputs: give shapes by name, or InputSpecs, not {type(odd).__name__}")
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
    return slo if isinstance(slo, SLO) else SLO.parse(dict(slo), "slo")


def as_precision(precision: Precision | Mapping[str, Any] | None) -> Precision:
    """A precision in any of its forms. Raises InvalidField."""
    if precision is None:
        return EXACT
    return precision if isinstance(precision, Precision) else Precision.parse(dict(precision), "precision")


def as_mode(mode: Mode | str) -> Mode:
    """A mode by its name. Raises UsageError."""
    try:
        return Mode(mode)
    except ValueError:
        raise UsageError(f'mode: "{mode}" must be one of {", ".join(Mode)}') from None
