"""`chrion run`: plan a ChrionModel on this machine, or take the plan from the cache, and serve it."""

from pathlib import Path
from typing import Annotated

import typer

from chrion import planning
from chrion.commands.serving import serve_session
from chrion.errors import UsageError
from chrion.face import Session, read
from chrion.options import HostOption, MetricsPortOption, PortOption, SloOption, check_output, parse_devices
from chrion.planning import Job
from chrion.progress import Display
from chrion_api import ChrionModel, Objective
from chrion_graph.files import write_aside
from chrion_graph.load import digest
from chrion_runtime.documents import read_objective
from chrion_runtime.live import Live

NAME = "run"


def command(
    file: Annotated[Path, typer.Option("--file", "-f", metavar="CHRIONMODEL.yaml", help="The ChrionModel to run.")],
    model: Annotated[
        Path | None,
        typer.Option("--model", metavar="PATH", help="The ONNX file, where spec.model.uri is out of reach from here."),
    ] = None,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8000,
    metrics_port: MetricsPortOption = 8002,
    devices: Annotated[
        str,
        typer.Option("--devices", metavar="cpu,cuda:0", help="Devices to use. Default: as spec.devices says."),
    ] = "",
    slo: SloOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="PLAN.json", help="Also write the plans there.")
    ] = None,
    replan: Annotated[bool, typer.Option("--replan", help="Plan anew, even where the cache holds a plan.")] = False,
) -> None:
    """Plan a model on this machine and serve it over HTTP: the whole of Chrion without a cluster.

    The objective, in the ChrionModel or behind --slo, is watched: a change there is taken over while the model serves.
    """
    if output is not None:
        check_output(output)
    live = Live.of(objective=slo or file)  # before it is read
    chrion_model = ChrionModel.from_yaml(read(file), str(file))
    spec = chrion_model.spec
    objective = Objective.of(spec.slo, spec.mode) if slo is None else read_objective(slo)
    path = model or local_path(chrion_model, file)
    if spec.model.sha256 is not None and (found := digest(path)) != spec.model.sha256:
        raise UsageError(f"{file}: spec.model.sha256: {path} has {found}, not {spec.model.sha256}")
    with Display() as display:
        job = Job(
            model=path,
            inputs=spec.inputs,
            devices=parse_devices(devices) or (() if spec.devices.gpu_resource else ("cpu",)),
            cpu_lanes=spec.devices.cpu_lanes,
            timeout_seconds=spec.planner.timeout.seconds,
            progress=display.progress,
            warn=display.warn,
        )
        plan_file, cached = planning.cached_plan(job, anew=replan)
        if output is not None:
            write_aside(output, plan_file.to_json())
        display.say(f"{chrion_model.metadata.name}: {'planned before' if cached else 'planned'}: {path}")
        session = Session(
            path,
            plan_file,
            slo=objective.slo,
            mode=objective.mode,
            inputs=spec.inputs,
            name=chrion_model.metadata.name,
            live=live,
        )
        for selection in session.selections:
            if not selection.meets_slo:
                display.warn(f"{slo or 'spec.slo'}: {selection.reason}")
    serve_session(session, host, port, metrics_port)


def local_path(chrion_model: ChrionModel, file: Path) -> Path:
    """The file that a file:// URI names; relative to the ChrionModel's own folder. Raises UsageError."""
    uri = chrion_model.spec.model.uri
    scheme, _, path = uri.partition("://")
    if scheme != "file":
        raise UsageError(f"{file}: spec.model.uri: {uri} is out of reach from here; give the file with --model PATH")
    return file.parent / path
