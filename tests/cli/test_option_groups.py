"""Groups of options: a parameter that is a dataclass is an option for each of its fields."""

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from chrion.option_groups import grouped


@dataclass(frozen=True)
class Where:
    """Two options."""

    host: Annotated[str, typer.Option("--host", help="The host.")] = "here"
    ports: Annotated[list[int] | None, typer.Option("--port", help="Some ports.")] = None


def ask(*arguments):
    """What a command with these arguments is called with, and its help."""
    seen = []

    @grouped
    def command(*, model: str, where: Where, loud: Annotated[bool, typer.Option("--loud")] = False) -> None:
        """Say so."""
        seen.append((model, where, loud))

    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, list(arguments))
    return seen, done.output


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["m"], ("m", Where(), False)),
        (["m", "--port", "1", "--loud", "--port", "2"], ("m", Where(ports=[1, 2]), True)),
        (["--host", "there", "m"], ("m", Where("there"), False)),
    ],
)
def test_the_command_gets_its_groups_whole(arguments, wanted):
    assert ask(*arguments)[0] == [wanted]


def test_help_lists_the_options_in_the_order_of_the_parameters():
    _, text = ask("--help")
    assert "Say so." in text
    assert text.index("--host") < text.index("--port") < text.index("--loud")
