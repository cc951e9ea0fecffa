"""`chrion serve`: serve a model by plans that were made before."""

from pathlib import Path
from typing import Annotated

import typer

from chrion.commands.serving import serve_session
from chrion.face import Session
from chrion.options import (
    AnyDeviceOption,
    GpuMemoryOption,
    HostOption,
    LatencyOption,
    MetricsPortOption,
    ModelArgument,
    ModeOption,
    PortOption,
    SloOption,
    ValueOption,
    parse_inputs,
    read_slo,
)
from chrion_api import Mode
from chrion_runtime.live import Live

NAME = "serve"


def command(
    model: ModelArgument,
    plan: Annotated[Path, typer.Option("--plan", metavar="PLAN.json", help="The plans, from `chrion plan`.")],
    host: HostOption = "127.0.0.1",
    port: PortOption = 8000,
    metrics_port: MetricsPortOption = 8002,
    name: Annotated[str | None, typer.Option("--name", help="The model's name; by default the file's.")] = None,
    value: ValueOption = None,
    latency: LatencyOption = None,
    gpu_memory: GpuMemoryOption = None,
    mode: ModeOption = Mode.AUTO,
    slo: SloOption = None,
    any_device: AnyDeviceOption = False,
) -> None:
    """Serve a model over the Open Inference Protocol, by the plan that the objective selects.

    The plans and the file behind --slo are watched: what changes there is taken over while the model serves.
    """
    live = Live.of(plan, slo)  # before they are read
    objective = read_slo(slo, latency, gpu_memory, mode)
    session = Session(
        model,
        plan,
        slo=objective.slo,
        mode=objective.mode,
        inputs=parse_inputs(None, value),
        name=name,
        any_device=any_device,
        live=live,
    )
    serve_session(session, host, port, metrics_port)
