"""Serve opened models: what `chrion run` and `chrion serve` share."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from chrion.errors import UsageError
from chrion.face import read
from chrion.grouping import Served
from chrion.opening import Opening, SequenceLimits
from chrion.options import (
    MAX_BODIES,
    MAX_BODY,
    MAX_RUN,
    READ_TIMEOUT,
    BatchOption,
    GrpcPortOption,
    HostOption,
    MaxBodiesOption,
    MaxBodyOption,
    MaxRunOption,
    MaxSequencesOption,
    MetricsPortOption,
    OtlpOption,
    PortOption,
    ReadTimeoutOption,
    RunMemoryOption,
    SequenceIdleOption,
    TlsCertOption,
    TlsClientCaOption,
    TlsKeyOption,
    TokenFileOption,
    check_port,
    parse_bytes,
    parse_seconds,
)
from chrion_api import ChrionModel, ChrionModelSpec
from chrion_api.redact import shown
from chrion_graph.load import digest
from chrion_runtime.devices.run_memory import RUN_MEMORY
from chrion_runtime.errors import PlanRefused
from chrion_runtime.live import Live
from chrion_runtime.sequences.store import MAX_SEQUENCES
from chrion_runtime.serve.lifecycle import Listening, serve
from chrion_runtime.serve.models.folder import Entry, RepositoryFolder
from chrion_runtime.serve.models.repository import Repository
from chrion_runtime.serve.options import ServerOptions
from chrion_runtime.serve.telemetry import logs
from chrion_runtime.serve.telemetry.logs import LogFormat, LogLevel

LogFormatOption = Annotated[LogFormat, typer.Option("--log-format", case_sensitive=False, help="Plain lines, or JSON.")]
LogLevelOption = Annotated[
    LogLevel,
    typer.Option(
        "--log-level", case_sensitive=False, help="The least severe entries to log; debug logs every request."
    ),
]


@dataclass(frozen=True)
class ListenOptions:
    """Where a server listens, and whom it answers."""

    host: HostOption = "127.0.0.1"
    port: PortOption = 8000
    metrics_port: MetricsPortOption = 8002
    grpc_port: GrpcPortOption = None
    token_file: TokenFileOption = None
    tls_cert: TlsCertOption = None
    tls_key: TlsKeyOption = None
    tls_client_ca: TlsClientCaOption = None


@dataclass(frozen=True)
class RequestOptions:
    """What requests may take, and how they run."""

    batch: BatchOption = 0
    max_sequences: MaxSequencesOption = MAX_SEQUENCES
    sequence_idle: SequenceIdleOption = "5m"
    max_run: MaxRunOption = MAX_RUN
    run_memory: RunMemoryOption = None
    max_body: MaxBodyOption = MAX_BODY
    max_bodies: MaxBodiesOption = MAX_BODIES
    read_timeout: ReadTimeoutOption = READ_TIMEOUT

    @property
    def keeping(self) -> SequenceLimits:
        """How many sequences are kept, and for how long. Raises UsageError."""
        return SequenceLimits(self.max_sequences, parse_seconds("--sequence-idle", self.sequence_idle))


@dataclass(frozen=True)
class TelemetryOptions:
    """What a server tells of itself, and where to. Raises UsageError."""

    log_format: LogFormatOption = LogFormat.TEXT
    log_level: LogLevelOption = LogLevel.INFO
    otlp_endpoint: OtlpOption = None

    def configure(self) -> None:
        """Log so, in this process."""
        logs.configure(self.log_format, self.log_level)

    def __post_init__(self) -> None:
        endpoint = self.otlp_endpoint
        if endpoint is not None and not _is_url(endpoint):
            raise UsageError(f'--otlp-endpoint: "{shown(endpoint)}" is not a URL such as http://localhost:4318')


def _is_url(text: str) -> bool:
    """Whether it is one over HTTP with a host, and with a port that exists."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


@dataclass(frozen=True)
class Setup:
    """What a process is told before it opens models; called there, and can be pickled."""

    telemetry: TelemetryOptions
    run_memory: int | None
    """What its runs may take of the host's memory together, in bytes; None where nothing is said."""

    def __call__(self) -> None:
        self.telemetry.configure()
        if self.run_memory is not None:
            RUN_MEMORY.hold_to(self.run_memory)


def run_memory_of(option: str | None, specs: Iterable[ChrionModelSpec] = ()) -> int | None:
    """The bytes that `--run-memory` gives, else the most that a ChrionModel does. Raises UsageError."""
    if option is not None:
        return parse_bytes("--run-memory", option)
    given = [spec.limits.run_memory.bytes for spec in specs if spec.limits.run_memory is not None]
    return max(given, default=None)


def server_options(
    listen: ListenOptions, requests: RequestOptions, telemetry: TelemetryOptions, leave: str | None = None
) -> ServerOptions:
    """What the options of a command come to for the server. Raises UsageError."""
    return ServerOptions(
        host=listen.host,
        port=check_port("--port", listen.port),
        metrics_port=None if listen.metrics_port == -1 else check_port("--metrics-port", listen.metrics_port),
        grpc_port=None if listen.grpc_port is None else check_port("--grpc-port", listen.grpc_port),
        token_file=listen.token_file,
        tls_cert=listen.tls_cert,
        tls_key=listen.tls_key,
        tls_client_ca=listen.tls_client_ca,
        batch=requests.batch,
        body_limit=parse_bytes("--max-body", requests.max_body),
        bodies_limit=parse_bytes("--max-bodies", requests.max_bodies),
        read_seconds=parse_seconds("--read-timeout", requests.read_timeout),
        otlp_endpoint=telemetry.otlp_endpoint,
        run_seconds=parse_seconds("--max-run", requests.max_run),
        leave_seconds=0.0 if leave is None else parse_seconds("--leave", leave),
    )


def serve_models(
    models: Sequence[Served],
    options: ServerOptions,
    repository: Path | None = None,
    load: Callable[[Entry], Served] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; with a `repository`, whatever clients have `load` load from it too.

    Raises CannotListen, GrpcUnavailable, RuntimeFailure.
    """
    folder = None if repository is None else RepositoryFolder(repository)
    for model in models:
        for selection in model.selections:
            typer.echo(f"{model.name}: plan {selection.plan.name}: {selection.reason}")

    def ready(where: Listening) -> None:
        for model in models:
            typer.echo(f"{model.name}: serving on {where.url}/v2/models/{model.name}")
        if folder is not None:
            typer.echo(f"{folder.root}: load models through {where.url}/v2/repository")
        if where.grpc_address:
            typer.echo(f"gRPC on {where.grpc_address}")
        if where.metrics_url:
            typer.echo(f"page on {where.page_url}, metrics on {where.metrics_url}")

    if folder is None or load is None:
        serve(models, options, ready)
    else:
        serve(models, options, ready, lambda registry: Repository(registry, folder, load))


def entry_opening(entry: Entry, keeping: SequenceLimits, any_device: bool) -> Opening:
    """How to open a repository's model, by its ChrionModel where it has one. Raises ChrionError."""
    opening = Opening(
        entry.model, entry.model, entry.plan, entry.name, Live(), keeping, any_device=any_device, beside=True
    )
    if entry.chrionmodel is None:
        return opening
    chrion_model = _chrion_model(entry, entry.chrionmodel)
    spec = chrion_model.spec
    return replace(
        opening,
        owner=chrion_model.metadata.namespace,
        slo=spec.slo,
        mode=spec.mode,
        inputs=spec.inputs,
        state=spec.state,
    )


def _chrion_model(entry: Entry, file: Path) -> ChrionModel:
    """A repository's ChrionModel, checked against the folder it is in. Raises ChrionError."""
    chrion_model = ChrionModel.from_yaml(read(file), file.name)
    if chrion_model.metadata.name != entry.name:
        raise PlanRefused(f'{file.name}: metadata.name: "{chrion_model.metadata.name}" is not the folder\'s name')
    wanted = chrion_model.spec.model.sha256
    if wanted is not None and (found := digest(entry.model)) != wanted:
        raise PlanRefused(f"{file.name}: spec.model.sha256: the model has digest {found}, not {wanted}")
    return chrion_model
