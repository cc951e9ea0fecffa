"""Serve sessions: what `chrion run` and `chrion serve` share."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from chrion.errors import UsageError
from chrion.face import Session, read
from chrion.several import about
from chrion_api import ChrionModel, ChrionModelSpec, Mode
from chrion_api.redact import shown
from chrion_graph.load import digest
from chrion_runtime.errors import PlanRefused
from chrion_runtime.live import Live
from chrion_runtime.live.workshop import Workshop
from chrion_runtime.machine import Machine
from chrion_runtime.sequences import SequenceStore
from chrion_runtime.server import Entry, Listening, Repository, RepositoryFolder, ServerOptions, serve
from chrion_runtime.server.telemetry import logs
from chrion_runtime.server.telemetry.logs import LogFormat, LogLevel

Open = Callable[[], Session]

LogFormatOption = Annotated[
    LogFormat, typer.Option("--log-format", case_sensitive=False, help="Lines for people, or JSON for machines.")
]
LogLevelOption = Annotated[
    LogLevel, typer.Option("--log-level", case_sensitive=False, help="What is logged; at debug each request is.")
]


@dataclass(frozen=True)
class Telling:
    """What a server tells of itself, and where to. Raises UsageError."""

    log_format: LogFormat = LogFormat.TEXT
    log_level: LogLevel = LogLevel.INFO
    otlp_endpoint: str | None = None

    def __post_init__(self) -> None:
        endpoint = self.otlp_endpoint
        if endpoint is not None and not endpoint.startswith(("http://", "https://")):
            raise UsageError(f'--otlp-endpoint: "{shown(endpoint)}" is not a URL such as http://localhost:4318')


def open_all(opens: Sequence[tuple[Path, Open]]) -> list[Session]:
    """Sessions, each with the file that an error of it names; where one cannot be opened, none is."""
    with ExitStack() as stack:
        sessions = []
        for file, make in opens:
            with about(file):
                sessions.append(make())
            stack.callback(sessions[-1].close)
        stack.pop_all()
    return sessions


def serve_sessions(
    sessions: Sequence[Session],
    host: str,
    port: int,
    metrics_port: int,
    telling: Telling,
    repository: Path | None = None,
    load: Callable[[Entry], Session] | None = None,
    batch: int = 0,
    leave_seconds: float = 0.0,
    grpc_port: int | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; with a `repository`, whatever clients have `load` load from it too.

    Raises CannotListen, GrpcUnavailable, RuntimeFailure.
    """
    logs.configure(telling.log_format, telling.log_level)
    folder = None if repository is None else RepositoryFolder(repository)
    for session in sessions:
        for selection in session.selections:
            typer.echo(f"{session.name}: plan {selection.plan.name}: {selection.reason}")

    def ready(where: Listening) -> None:
        for session in sessions:
            typer.echo(f"{session.name}: serving on {where.url}/v2/models/{session.name}")
        if folder is not None:
            typer.echo(f"{folder.root}: models are loaded through {where.url}/v2/repository")
        if where.grpc_address:
            typer.echo(f"gRPC on {where.grpc_address}")
        if where.metrics_url:
            typer.echo(f"page on {where.page_url}, metrics on {where.metrics_url}")

    options = ServerOptions(
        host=host,
        port=port,
        metrics_port=None if metrics_port < 0 else metrics_port,
        grpc_port=grpc_port,
        batch=batch,
        otlp_endpoint=telling.otlp_endpoint,
        leave_seconds=leave_seconds,
    )
    if folder is None or load is None:
        serve(sessions, options, ready)
    else:
        serve(sessions, options, ready, lambda front: Repository(front, folder, load))


def load_entry(entry: Entry, machine: Machine, sequences: SequenceStore, any_device: bool) -> Session:
    """A session of a repository's model, by its ChrionModel where it has one. Raises ChrionError.

    Others serve meanwhile: what would hold them up is done in another process.
    """
    spec = None if entry.chrionmodel is None else _spec(entry, entry.chrionmodel)
    with Workshop() as workshop:
        return Session(
            entry.model,
            entry.plan,
            slo=None if spec is None else spec.slo,
            mode=Mode.AUTO if spec is None else spec.mode,
            inputs=() if spec is None else spec.inputs,
            state=() if spec is None else spec.state,
            name=entry.name,
            sequences=sequences,
            any_device=any_device,
            live=Live(),
            machine=machine,
            drawing=workshop.draw,
        )


def _spec(entry: Entry, file: Path) -> ChrionModelSpec:
    """What a repository's ChrionModel says, checked against the folder it is in. Raises ChrionError."""
    chrion_model = ChrionModel.from_yaml(read(file), file.name)
    if chrion_model.metadata.name != entry.name:
        raise PlanRefused(f'{file.name}: metadata.name: "{chrion_model.metadata.name}" is not the folder\'s name')
    wanted = chrion_model.spec.model.sha256
    if wanted is not None and (found := digest(entry.model)) != wanted:
        raise PlanRefused(f"{file.name}: spec.model.sha256: the model has {found}, not {wanted}")
    return chrion_model.spec
