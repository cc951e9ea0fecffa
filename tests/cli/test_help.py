"""`--help` and `--version`: every option is there, explained, and fits a narrow terminal."""

import subprocess
import sys

import pytest

from chrion.app import load
from chrion.commands import COMMANDS
from chrion.version import __version__


def test_commands():
    assert list(COMMANDS) == ["run", "check", "plan", "serve", "bench", "explain", "profile", "fetch", "plan-job"]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command(quick, name):
    done = quick(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "…" not in done.stdout.replace("…]", ""), "something was cut off"
    words = done.stdout.split()
    for parameter in load(name).params:
        assert parameter.help, f"{parameter.name} is not explained"
        for option in parameter.opts:
            if option.startswith("-"):
                assert option in words


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_command_says(name):
    assert load(name).help.partition("\n\n")[0].replace("\n", " ") == COMMANDS[name]


def test_help_names_every_command(chrion):
    text = chrion.ok("--help").stdout
    assert all(f" {name} " in text for name in COMMANDS)


@pytest.mark.parametrize("arguments", [("--help",), ("fetch", "--help"), ("explain", "--help")])
def test_what_needs_no_onnxruntime_does_not_wait_for_it(arguments):
    script = f"""
import sys
from chrion.app import app
app({list(arguments)}, standalone_mode=False)
print(sorted({{"onnxruntime", "chrion_planner", "chrion_runtime.serve"}} & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_version(chrion):
    assert chrion.ok("--version").stdout == f"chrion {__version__}\n"


@pytest.mark.parametrize("arguments", [("plan",), ("plan", "m.onnx"), ("frobnicate",), ("plan", "--bogus")])
def test_wrong_usage(quick, arguments):
    done = quick(*arguments)
    assert done.returncode == 2
    assert "Usage: chrion" in done.stderr
    assert "Traceback" not in done.stderr
