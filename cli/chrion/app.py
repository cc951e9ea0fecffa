"""The command line: every command, and what they share."""

from typing import Annotated

import typer

from chrion.commands import bench, explain, fetch, plan, plan_job, profile, run, serve
from chrion.version import __version__

app = typer.Typer(
    name="chrion",
    help="Serve ONNX models on CPU and GPU together, within a latency and GPU memory objective.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (run, plan, serve, bench, explain, profile, fetch, plan_job):
    app.command(name=command.NAME)(command.command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"chrion {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Serve ONNX models on CPU and GPU together, within a latency and GPU memory objective."""
    del version
