"""The Python face: plan and profile a model, in a few lines."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from chrion import planning
from chrion.errors import UsageError
from chrion.forms import (
    Inputs,
    as_mode,
    as_precision,
    device_names,
    file_path,
    input_specs,
    objective,
    positive_seconds,
    whole_number,
)
from chrion_api import SLO, Mode, Objective, PlanFile, Precision, Profile, WeightFormat
from chrion_graph.samples import read_sample
from chrion_runtime.choice.documents import read_bounded
from chrion_runtime.choice.ladder import choose
from chrion_runtime.errors import Unreadable


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

    Parameters:
        model: the path of an ONNX file.
        inputs: the shape of each input that has open axes, or several for several buckets, by input; or InputSpecs.
        slo: an objective to check the plans against: an SLO, or a dictionary such as `{"latency": "20ms"}`.
        mode: `"Latency"`, `"Memory"` or `"Auto"`: what the objective minimises.
        devices: such as `["cpu", "cuda:0"]`; by default the CPU, and the first GPU where there is one.
        cpu_lanes: CPU lanes; 0 for as many as the process may use.
        profile: a Profile, or the path of one, to plan for its devices and measure nothing.
        timeout_seconds: how long planning may take; the best so far is kept.
        precision: what may be given up: recurrent layers on the CPU may then round their weights.
        samples: paths of .npz files, inputs to compare answers on where weights are rounded.
        warn: told what a user should know of, such as sizes that are guessed for inputs whose shapes are not given.

    Returns:
        Plans for every objective, to give to `Session` or to write into a file with `to_json()`.

    Raises:
        ModelError: the file is no model that can be loaded, or the inputs do not fit it.
        PlanRefused: no plan is within the objective's GPU memory.
        PlanningError: nothing could be measured, or the profile does not fit.
        ChrionError: a device, an objective or a file that cannot be used; all others are one too.

    >>> plan = chrion.plan("model.onnx", {"input": (1, 200, 161)}, devices=["cpu"])
    >>> plan.buckets[0].inputs
    {'input': (1, 200, 161)}
    """
    wanted, pursued, rounding = objective(slo), as_mode(mode), as_precision(precision)
    if profile is not None and rounding.weights is not WeightFormat.FLOAT32:
        raise UsageError("precision: how far answers are off must be measured: leave the profile out")
    task = planning.PlanningTask(
        file_path(model, "model"),
        input_specs(inputs),
        device_names(devices),
        whole_number(cpu_lanes, "cpu_lanes"),
        positive_seconds(timeout_seconds, "timeout_seconds"),
        warn=warn,
        precision=rounding,
        samples=tuple(read_sample(file_path(path, "samples")) for path in samples),
    )
    if profile is None:
        found = planning.plan(task)
    else:
        known = (
            profile
            if isinstance(profile, Profile)
            else Profile.from_json(read(file_path(profile, "profile")), str(profile))
        )
        found = planning.plan_from_profile(task, known)
    choose(found, Objective.of(wanted, pursued))
    return found


def profile(model: str | Path, inputs: Inputs = (), *, devices: Sequence[str] = (), cpu_lanes: int = 0) -> Profile:
    """Measure what a model's nodes cost on the devices of this machine, to plan for it elsewhere.

    Parameters:
        model: the path of an ONNX file.
        inputs: as `plan` has them.
        devices: as `plan` has them.
        cpu_lanes: CPU lanes; 0 for as many as the process may use.

    Returns:
        The profile, to give to `plan` or to write into a file with `to_json()`.

    Raises:
        ModelError: the file is no model that can be loaded, or the inputs do not fit it.
        DeviceUnavailable: there is no such device here.

    >>> profile = chrion.profile("model.onnx", {"input": (1, 200, 161)}, devices=["cpu"])
    >>> [device.name for device in profile.devices]
    ['cpu']
    """
    path, specs, lanes = file_path(model, "model"), input_specs(inputs), whole_number(cpu_lanes, "cpu_lanes")
    return planning.profile(planning.PlanningTask(path, specs, device_names(devices), lanes))


def read(path: Path) -> str:
    """The text of a file the user named. Raises UsageError."""
    try:
        return read_bounded(path).decode()
    except Unreadable as error:
        raise UsageError(str(error)) from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: is not a text file") from None
