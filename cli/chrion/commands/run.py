"""`chrion run`: plan ChrionModels on this machine, or take the plans from the cache, and serve them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from chrion import planning
from chrion.commands.serving import (
    ListenOptions,
    RequestOptions,
    Setup,
    TelemetryOptions,
    run_memory_of,
    serve_models,
    server_options,
)
from chrion.errors import UsageError
from chrion.face import read
from chrion.grouping import Grouping
from chrion.models_to_serve import about
from chrion.opening import Opening
from chrion.option_groups import grouped
from chrion.options import Isolate, IsolateOption, SampleOption, SloOption, check_output, parse_devices
from chrion.planning import PlanningTask, read_samples
from chrion.progress import Display
from chrion_api import EXACT, ChrionModel, ChrionModelSpec, Objective, PlanFile
from chrion_api.redact import shown
from chrion_graph.files import write_aside
from chrion_graph.load import digest
from chrion_runtime.choice.documents import read_objective
from chrion_runtime.live import Live
from chrion_runtime.run.machine import Machine


@grouped
def command(
    *,
    files: Annotated[
        list[Path],
        typer.Option("--file", "-f", metavar="CHRIONMODEL.yaml", help="The ChrionModels to run."),
    ],
    model: Annotated[
        Path | None,
        typer.Option("--model", metavar="PATH", help="The ONNX file, if spec.model.uri is out of reach from here."),
    ] = None,
    listen: ListenOptions,
    devices: Annotated[
        str,
        typer.Option("--devices", metavar="cpu,cuda:0", help="Devices to use. Default: those of spec.devices."),
    ] = "",
    slo: SloOption = None,
    isolate: IsolateOption = Isolate.OWNER,
    requests: RequestOptions,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="PLAN.json", help="Also write the plans to this file.")
    ] = None,
    sample: SampleOption = None,
    replan: Annotated[bool, typer.Option("--replan", help="Plan again, even if the cache holds a plan.")] = False,
    telemetry: TelemetryOptions,
) -> None:
    """Plan models on this machine and serve them: the whole of Chrion without a cluster.

    The objective, in the ChrionModel or the file of --slo, is watched: changes take effect while the model serves.
    """
    if output is not None:
        check_output(output)
    only = sample[0] if sample else None
    for option, given in (("--model", model), ("--output", output), ("--slo", slo), ("--sample", only)):
        if given is not None and len(files) > 1:
            raise UsageError(f"{option}: {given} is for one ChrionModel, but -f gives {len(files)}")
    lives = [Live.of(objective=slo or file) for file in files]  # before they are read
    chosen = [_choose(file, model, slo) for file in files]
    _check_names(chosen)
    setup = Setup(telemetry, run_memory_of(requests.run_memory, [one.spec for one in chosen]))
    machine = Machine() if len(chosen) > 1 else None
    keeping = requests.keeping
    options = server_options(listen, requests, telemetry)
    with Display() as display:
        plans = [_plan(one, devices, sample, replan, display) for one in chosen]
        if output is not None:
            write_aside(output, plans[0].to_json())
        setup()
        owners = {one.owner for one in chosen}
        grouping = Grouping(isolate, setup, machine, several=len(owners) > 1)
        opened = grouping.open(
            [
                Opening(
                    file=one.file,
                    model=one.path,
                    plan=plan_file,
                    name=one.name,
                    live=live,
                    keeping=keeping,
                    owner=one.owner,
                    slo=one.objective.slo,
                    mode=one.objective.mode,
                    inputs=one.spec.inputs,
                    state=one.spec.state,
                )
                for one, plan_file, live in zip(chosen, plans, lives, strict=True)
            ]
        )
        for one, served in zip(chosen, opened, strict=True):
            for selection in served.selections:
                if not selection.meets_slo:
                    display.warn(f"{slo or one.file}: spec.slo: {selection.reason}")
    serve_models(opened, options)


@dataclass(frozen=True)
class _Chosen:
    """A ChrionModel to run, and its file and model."""

    file: Path
    name: str
    owner: str
    spec: ChrionModelSpec
    path: Path
    objective: Objective


def _choose(file: Path, model: Path | None, slo: Path | None) -> _Chosen:
    chrion_model = ChrionModel.from_yaml(read(file), str(file))
    spec = chrion_model.spec
    path = model or local_path(chrion_model, file)
    if spec.model.sha256 is not None and (found := digest(path)) != spec.model.sha256:
        raise UsageError(f"{file}: spec.model.sha256: {path} has {found}, not {spec.model.sha256}")
    objective = Objective.of(spec.slo, spec.mode) if slo is None else read_objective(slo)
    owner = chrion_model.metadata.namespace or "default"
    return _Chosen(file, chrion_model.metadata.name, owner, spec, path, objective)


def _check_names(chosen: Sequence[_Chosen]) -> None:
    known: dict[str, Path] = {}
    for one in chosen:
        if one.name in known:
            raise UsageError(f'{one.file}: metadata.name: {known[one.name]} has the name "{one.name}" too')
        known[one.name] = one.file


def _plan(one: _Chosen, devices: str, samples: list[Path] | None, replan: bool, display: Display) -> PlanFile:
    with about(one.file):
        found = read_samples(samples, one.spec.precision or EXACT)
        task = PlanningTask.of(one.spec, one.path, parse_devices(devices), display.progress, display.warn, found)
        plan_file, cached = planning.cached_plan(task, replan=replan)
    display.say(f"{one.name}: {'already planned' if cached else 'planned'}: {one.path}")
    return plan_file


def local_path(chrion_model: ChrionModel, file: Path) -> Path:
    """The file that a file:// URI names; relative to the ChrionModel's own folder. Raises UsageError."""
    uri = chrion_model.spec.model.uri
    scheme, _, path = uri.partition("://")
    if scheme != "file":
        raise UsageError(
            f"{file}: spec.model.uri: {shown(uri)} is out of reach from here; give the file with --model PATH"
        )
    return file.parent / path
