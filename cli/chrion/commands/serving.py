"""Serve a session over HTTP: what `chrion run` and `chrion serve` share."""

import logging

import typer

from chrion_runtime.server import Listening, ServerOptions, serve
from chrion_runtime.session import Session


def serve_session(session: Session, host: str, port: int, metrics_port: int) -> None:
    """Serve until SIGTERM or SIGINT. Raises CannotListen."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for selection in session.selections:
        typer.echo(f"{session.name}: plan {selection.plan.name}: {selection.reason}")

    def ready(where: Listening) -> None:
        typer.echo(f"{session.name}: serving on {where.url}/v2/models/{session.name}")
        if where.metrics_url:
            typer.echo(f"{session.name}: metrics on {where.metrics_url}")

    serve(
        [session], ServerOptions(host=host, port=port, metrics_port=None if metrics_port < 0 else metrics_port), ready
    )
