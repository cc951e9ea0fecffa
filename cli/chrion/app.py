"""The command line: every command, and what they share."""

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from chrion.commands import COMMANDS
from chrion.version import __version__

CONTEXT = {"help_option_names": ["-h", "--help"]}


class Commands(TyperGroup):
    """Commands that are listed by name and imported when called: to fetch a model needs no ONNX Runtime."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command itself in place of the entry that stands for it."""
        name, entry, rest = super().resolve_command(ctx, args)
        return name, entry and load(str(entry.name)), rest


def load(name: str) -> Any:
    """The command of this name, as Typer makes it of its module."""
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, context_settings=CONTEXT)
    alone.command(name)(import_module(f"chrion.commands.{name.replace('-', '_')}").command)
    return typer.main.get_command(alone)


def _entry() -> None:
    """Stands for a command where only its name and help are asked for."""


app = typer.Typer(
    name="chrion",
    cls=Commands,
    help="Serve ONNX models on CPUs and GPUs together, within a latency and GPU memory objective.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=CONTEXT,
)
for command, text in COMMANDS.items():
    app.command(command, help=text)(_entry)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"chrion {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Serve ONNX models on CPUs and GPUs together, within a latency and GPU memory objective."""
    del version
