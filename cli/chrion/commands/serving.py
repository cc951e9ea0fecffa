"""Serve a session over HTTP: what `chrion run` and `chrion serve` share."""

from dataclasses import dataclass

import typer

from chrion.errors import UsageError
from chrion_runtime.server import Listening, ServerOptions, serve
from chrion_runtime.server.telemetry import logs
from chrion_runtime.server.telemetry.logs import LogFormat, LogLevel
from chrion_runtime.session import Session


@dataclass(frozen=True)
class Telling:
    """What a server tells of itself, and where to."""

    log_format: LogFormat = LogFormat.TEXT
    log_level: LogLevel = LogLevel.INFO
    otlp_endpoint: str | None = None

    def __post_init__(self) -> None:
        endpoint = self.otlp_endpoint
        if endpoint is not None and not endpoint.startswith(("http://", "https://")):
            raise UsageError(f'--otlp-endpoint: "{endpoint}" is not a URL such as http://localhost:4318')


def serve_session(session: Session, host: str, port: int, metrics_port: int, telling: Telling) -> None:
    """Serve until SIGTERM or SIGINT. Raises CannotListen."""
    logs.configure(telling.log_format, telling.log_level)
    for selection in session.selections:
        typer.echo(f"{session.name}: plan {selection.plan.name}: {selection.reason}")

    def ready(where: Listening) -> None:
        typer.echo(f"{session.name}: serving on {where.url}/v2/models/{session.name}")
        if where.metrics_url:
            typer.echo(f"{session.name}: page on {where.page_url}, metrics on {where.metrics_url}")

    options = ServerOptions(
        host=host,
        port=port,
        metrics_port=None if metrics_port < 0 else metrics_port,
        otlp_endpoint=telling.otlp_endpoint,
    )
    serve([session], options, ready)
