"""Commands that pages show can be given: they and their options exist, and blocks of code are complete."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from chrion.app import load
from chrion.commands import COMMANDS
from tests.support.pages import PAGES, ROOT, fences, spans

SHELL = {"sh", "bash", "console", ""}
COMMAND = re.compile(r"^(?:\$ )?(?:\.venv/bin/)?chrion (?=[a-z])(.*)$", re.MULTILINE)
SHOWN = [page for page in PAGES if page.name != "CHANGELOG.md"]
"""The changelog tells of what there was."""


def commands(text: str) -> Iterator[list[str]]:
    """The arguments of each `chrion …` at the beginning of a line; lines that end in a backslash go on."""
    for found in COMMAND.findall(re.sub(r"\\\n\s*", "", text)):
        yield shlex.split(re.split(r" [|>&]| 2>", found)[0], comments=True)


def parse(arguments: list[str], complete: bool) -> None:
    """Raises click's UsageError for what the command does not take and, where it is complete, lacks."""
    name, *rest = arguments
    load(name).make_context(name, rest, resilient_parsing=not complete)


@pytest.mark.parametrize("page", SHOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_can_be_given(page: Path):
    for fence in fences(page):
        if fence.language in SHELL:
            for arguments in commands(fence.text):
                parse(arguments, complete=True)
    for span in spans(page):
        for arguments in commands(span):
            parse(arguments, complete=False)


def test_commands_are_found():
    text = "cd x\n$ chrion plan a.onnx \\\n  -o b --quiet  # why\n.venv/bin/chrion serve a.onnx | cat\nchrion: no\n"
    assert list(commands(text)) == [["plan", "a.onnx", "-o", "b", "--quiet"], ["serve", "a.onnx"]]


@pytest.mark.parametrize("line", ["chrion plan a.onnx -o b --bogus 1", "chrion frob a.onnx", "chrion plan a.onnx"])
def test_commands_that_cannot_be_given_are_found(line):
    with pytest.raises(Exception, match=r"No such option|No module named|Missing"):
        parse(next(commands(line)), complete=True)


def test_readme_lists_every_command():
    listed = {arguments[0] for span in spans(ROOT / "README.md") for arguments in commands(span)}
    assert listed == set(COMMANDS)
