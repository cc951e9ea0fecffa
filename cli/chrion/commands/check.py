"""`chrion check`: what is in a model, what would run where, and whether planning it is likely to gain."""

from typing import Annotated

import typer
from rich.console import Console

from chrion.check_text import show
from chrion.options import ModelArgument
from chrion.planning import checked

BLOCKED = 1
"""The exit code where the model must be changed before it can be planned."""


def command(
    model: ModelArgument,
    json: Annotated[bool, typer.Option("--json", help="Print the same as JSON.")] = False,
) -> None:
    """Report what is in a model, what would run where, and whether planning is likely to gain.

    Nothing is run or measured. The exit code is 1 where the model must be changed before it can be planned.
    """
    report = checked(model)
    if json:
        typer.echo(report.to_json(), nl=False)
    else:
        show(report, Console())
    if report.command is None:
        raise typer.Exit(BLOCKED)
