"""`chrion serve`: serve a model by plans that were made before."""

from pathlib import Path
from typing import Annotated

import typer

from chrion.commands.serving import Telling, serve_session
from chrion.face import Session
from chrion.options import (
    AnyDeviceOption,
    GpuMemoryOption,
    HostOption,
    LatencyOption,
    LogFormatOption,
    LogLevelOption,
    MetricsPortOption,
    ModelArgument,
    ModeOption,
    OtlpOption,
    PortOption,
    ValueOption,
    parse_inputs,
    parse_objective,
)
from chrion_api import Mode
from chrion_runtime.server.telemetry.logs import LogFormat, LogLevel

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
    any_device: AnyDeviceOption = False,
    log_format: LogFormatOption = LogFormat.TEXT,
    log_level: LogLevelOption = LogLevel.INFO,
    otlp_endpoint: OtlpOption = None,
) -> None:
    """Serve a model over the Open Inference Protocol, by the plan that the objective selects."""
    telling = Telling(log_format, log_level, otlp_endpoint)
    session = Session(
        model,
        plan,
        slo=parse_objective(latency, gpu_memory),
        mode=mode,
        inputs=parse_inputs(None, value),
        name=name,
        any_device=any_device,
    )
    serve_session(session, host, port, metrics_port, telling)
