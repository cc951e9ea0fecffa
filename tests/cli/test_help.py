"""`--help` and `--version`: every option is there, explained, and fits a narrow terminal."""

import pytest
import typer

from chrion.app import app
from chrion.version import __version__

COMMANDS = typer.main.get_command(app).commands


def test_commands():
    assert list(COMMANDS) == ["run", "plan", "serve", "bench", "explain", "profile", "fetch", "plan-job"]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command(quick, name):
    done = quick(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "…" not in done.stdout.replace("…]", ""), "something was cut off"
    words = done.stdout.split()
    for parameter in COMMANDS[name].params:
        assert parameter.help, f"{parameter.name} is not explained"
        for option in parameter.opts:
            if option.startswith("-"):
                assert option in words


def test_help_names_every_command(chrion):
    text = chrion.ok("--help").stdout
    assert all(f" {name} " in text for name in COMMANDS)


def test_version(chrion):
    assert chrion.ok("--version").stdout == f"chrion {__version__}\n"


@pytest.mark.parametrize("arguments", [("plan",), ("plan", "m.onnx"), ("frobnicate",), ("plan", "--bogus")])
def test_wrong_usage(quick, arguments):
    done = quick(*arguments)
    assert done.returncode == 2
    assert "Usage: chrion" in done.stderr
    assert "Traceback" not in done.stderr
