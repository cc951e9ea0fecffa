"""`chrion serve`: serve models by plans that were made before."""

from pathlib import Path
from typing import Annotated

import typer

from chrion.commands.serving import (
    LogFormatOption,
    LogLevelOption,
    Setup,
    TelemetryOptions,
    entry_opening,
    run_memory_of,
    serve_models,
    server_options,
)
from chrion.errors import UsageError
from chrion.grouping import Grouping, Served
from chrion.models_to_serve import by_model, pair
from chrion.opening import Opening, SequenceLimits
from chrion.options import (
    MAX_RUN,
    AnyDeviceOption,
    BatchOption,
    GpuMemoryOption,
    GrpcPortOption,
    HostOption,
    Isolate,
    IsolateOption,
    LatencyOption,
    LeaveOption,
    MaxRunOption,
    MaxSequencesOption,
    MetricsPortOption,
    ModeOption,
    OtlpOption,
    PortOption,
    RepositoryOption,
    RunMemoryOption,
    SequenceIdleOption,
    SloOption,
    StateOption,
    ValueOption,
    parse_inputs,
    parse_seconds,
    parse_state,
    read_slo,
)
from chrion_api import Mode
from chrion_runtime.live import Live
from chrion_runtime.run.machine import Machine
from chrion_runtime.sequences.store import MAX_SEQUENCES
from chrion_runtime.serve.models.folder import Entry
from chrion_runtime.serve.telemetry.logs import LogFormat, LogLevel


def command(
    models: Annotated[
        list[Path] | None, typer.Argument(metavar="MODEL...", help="The ONNX files.", show_default=False)
    ] = None,
    plan: Annotated[
        list[Path] | None,
        typer.Option(
            "--plan", metavar="PLAN.json", help="The plans, from `chrion plan`: one for each model, in the same order."
        ),
    ] = None,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8000,
    metrics_port: MetricsPortOption = 8002,
    grpc_port: GrpcPortOption = None,
    name: Annotated[
        list[str] | None, typer.Option("--name", help="The models' names, in the same order. Default: the file names.")
    ] = None,
    value: ValueOption = None,
    state: StateOption = None,
    batch: BatchOption = 0,
    max_sequences: MaxSequencesOption = MAX_SEQUENCES,
    sequence_idle: SequenceIdleOption = "5m",
    run_memory: RunMemoryOption = None,
    latency: LatencyOption = None,
    gpu_memory: GpuMemoryOption = None,
    mode: ModeOption = Mode.AUTO,
    slo: SloOption = None,
    repository: RepositoryOption = None,
    isolate: IsolateOption = Isolate.OWNER,
    any_device: AnyDeviceOption = False,
    max_run: MaxRunOption = MAX_RUN,
    leave: LeaveOption = None,
    log_format: LogFormatOption = LogFormat.TEXT,
    log_level: LogLevelOption = LogLevel.INFO,
    otlp_endpoint: OtlpOption = None,
) -> None:
    """Serve models over the Open Inference Protocol, each with the plan that the objective selects.

    Several models share the lanes, and each must meet the objective by itself. The plans and the file of --slo are
    watched: changes take effect while the models serve.
    """
    telemetry = TelemetryOptions(log_format, log_level, otlp_endpoint)
    if not models and repository is None:
        raise UsageError("name a model with its --plan, or a --repository to load models from")
    wanted = pair(models or (), plan or (), name or ())
    names = [one.name for one in wanted]
    values, states = by_model("--value", value, names), by_model("--state", state, names)
    machine = Machine() if repository is not None or len(wanted) > 1 else None
    idle = parse_seconds("--sequence-idle", sequence_idle)
    options = server_options(
        host, port, metrics_port, grpc_port, batch=batch, max_run=max_run, telemetry=telemetry, leave=leave
    )
    lives = [Live.of(one.plan, slo) for one in wanted]  # before they are read
    objective = read_slo(slo, latency, gpu_memory, mode)
    keeping = SequenceLimits(max_sequences, idle)
    setup = Setup(telemetry, run_memory_of(run_memory))
    setup()
    grouping = Grouping(isolate, setup, machine, several=repository is not None)
    opened = grouping.open(
        [
            Opening(
                file=one.model,
                model=one.model,
                plan=one.plan,
                name=one.name,
                live=live,
                keeping=keeping,
                slo=objective.slo,
                mode=objective.mode,
                inputs=tuple(parse_inputs(None, values[one.name])),
                state=tuple(parse_state(states[one.name])),
                any_device=any_device,
            )
            for one, live in zip(wanted, lives, strict=True)
        ]
    )

    def load(entry: Entry) -> Served:
        return grouping.open([entry_opening(entry, keeping, any_device)])[0]

    serve_models(opened, options, repository, load)
