"""The `chrion` command. Errors a user can act on are one line and exit code 2."""

import errno
import os
import sys
from io import TextIOWrapper
from typing import Annotated

import typer

from chrion.commands import bench, explain, plan, profile, run, serve
from chrion.version import __version__
from chrion_api import ChrionError

app = typer.Typer(
    name="chrion",
    help="Serve ONNX models on CPU and GPU together, within a latency and GPU memory objective.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (run, plan, serve, bench, explain, profile):
    app.command(name=command.NAME)(command.command)

BAD_INPUT = 2
"""The exit code of bad input, as of bad options."""


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


def main() -> None:
    """Run the command line and leave with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # names of models and nodes may hold anything
    try:
        app()
    except ChrionError as error:
        _leave(str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _leave(f"{error.filename or 'the disk'}: no space left; free some or set CHRION_CACHE to another folder")


def _leave(text: str) -> None:
    print(f"chrion: {text}", file=sys.stderr)
    sys.exit(BAD_INPUT)
