"""The Python face: plan a model and run it, in a few lines."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from chrion import cache, planning
from chrion.errors import UsageError
from chrion_api import (
    EXACT,
    SLO,
    InputSpec,
    Mode,
    Objective,
    PlanFile,
    Precision,
    Profile,
    Shape,
    StateLink,
    WeightFormat,
)
from chrion_graph.limits import Limits
from chrion_graph.samples import read_sample
from chrion_runtime.choice.documents import read_bounded, read_plan_file
from chrion_runtime.choice.ladder import choose
from chrion_runtime.errors import Unreadable
from chrion_runtime.live import Live
from chrion_runtime.live.plans_in_use import PlanCompiler
from chrion_runtime.planned_model import PlannedModel
from chrion_runtime.run.machine import Machine
from chrion_runtime.sequences import SequenceStore

Inputs = Mapping[str, Shape | Sequence[Shape]] | Sequence[InputSpec]
"""A shape, or several for several buckets, by input; or InputSpecs."""

State = Mapping[str, str] | Sequence[StateLink]
"""The input that each output feeds, by output; or StateLinks."""


def plan(
    model: str | Path,
    inputs: Inputs = (),
    *,
    slo: SLO | Mapping[str, Any] | None = None,
    mode: Mode | str = Mode.AUTO,
    devices: Sequence[str] = (),
    cpu_lanes: int = 0,
    profile: Profile | str | Path | None = None,
    timeout_seconds: float = 600.0,
    precision: Precision | Mapping[str, Any] | None = None,
    samples: Sequence[str | Path] = (),
    warn: Callable[[str], None] = warnings.warn,
) -> PlanFile:
    """Plan a model on this machine's devices, or, without measuring, for those of a profile.

    The result holds plans for every objective; with `slo` and `mode` it is checked that one of them can be selected.
    With a `precision` recurrent layers on the CPU may round their weights; answers are then compared on `samples`,
    paths of .npz files, too. `warn` is told what a user should know of, such as sizes that are guessed for inputs whose
    shapes are not given. Raises ChrionError.
    """
    wanted, pursued, rounding = objective(slo), as_mode(mode), as_precision(precision)
    if profile is not None and rounding.weights is not WeightFormat.FLOAT32:
        raise UsageError("precision: how far answers are off must be measured: leave the profile out")
    task = planning.PlanningTask(
        Path(model),
        input_specs(inputs),
        tuple(devices),
        cpu_lanes,
        timeout_seconds,
        warn=warn,
        precision=rounding,
        samples=tuple(read_sample(Path(path)) for path in samples),
    )
    if profile is None:
        found = planning.plan(task)
    else:
        known = profile if isinstance(profile, Profile) else Profile.from_json(read(Path(profile)), str(profile))
        found = planning.plan_from_profile(task, known)
    choose(found, Objective.of(wanted, pursued))
    return found


class Session(PlannedModel):
    """A model that runs by a plan; `run` takes and returns arrays by name, and may be called from many threads."""

    def __init__(
        self,
        model: str | Path,
        plan: PlanFile | str | Path,
        *,
        slo: SLO | Mapping[str, Any] | None = None,
        mode: Mode | str = Mode.AUTO,
        inputs: Inputs = (),
        name: str | None = None,
        state: State = (),
        sequences: SequenceStore | None = None,
        any_device: bool = False,
        live: Live | None = None,
        machine: Machine | None = None,
        compiling: PlanCompiler | None = None,
    ) -> None:
        """`plan` is a plan or a plan file's path. `inputs` gives values to warm with where the model needs them.
        `state` says which outputs feed which inputs from one request of a sequence to the next. `sequences`, `live`,
        `machine` and `compiling` are for servers: how many sequences are kept, what is watched while the model serves,
        what several models share, and who compiles the plans.

        Raises ChrionError: the file cannot be read, the plan does not fit the model or these devices.
        """
        path = Path(model)
        plan_file = plan if isinstance(plan, PlanFile) else read_plan_file(Path(plan))
        super().__init__(
            cache.normalised(path, Limits()),
            plan_file,
            name=name or path.stem,
            slo=objective(slo),
            mode=as_mode(mode),
            inputs=input_specs(inputs),
            state=state_links(state),
            sequences=sequences,
            any_device=any_device,
            live=live,
            machine=machine,
            compiling=compiling,
        )


def state_links(state: State) -> tuple[StateLink, ...]:
    """State in any of its forms as StateLinks."""
    if not isinstance(state, Mapping):
        return tuple(state)
    return tuple(StateLink(output=output, input=name) for output, name in state.items())


def input_specs(inputs: Inputs) -> tuple[InputSpec, ...]:
    """Inputs in any of their forms as InputSpecs. Raises InvalidField."""
    if not isinstance(inputs, Mapping):
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
        raise UsageError(f'mode: "{mode}" is none of {", ".join(Mode)}') from None


def read(path: Path) -> str:
    """The text of a file the user named. Raises UsageError."""
    try:
        return read_bounded(path).decode()
    except Unreadable as error:
        raise UsageError(str(error)) from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: cannot be read: it is no text file") from None
