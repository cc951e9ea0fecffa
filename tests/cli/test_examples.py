"""Every example of the Python face runs: those in docs/python.md, in order, and those in docstrings."""

import doctest
import inspect
import re
from pathlib import Path

import numpy as np
import pytest

import chrion as face
from chrion import errors
from tests.support.face_models import write_examples

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
OWN = [
    value
    for name in face.__all__
    if getattr(value := getattr(face, name), "__module__", "").startswith("chrion.")
    and not (inspect.isclass(value) and issubclass(value, Exception))
]
"""Functions and classes that are the face's own, not those of the packages below."""
METHODS = [face.Session.__init__, face.Session.run, face.Session.wait]


@pytest.fixture
def here(tmp_path, chrion, monkeypatch):
    """A folder with the models of the examples, in which they run, with the command's cache."""
    write_examples(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHRION_CACHE", str(chrion.cache))


def test_page(here):
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 5
    names: dict[str, object] = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"{PAGE.name}, example {number}", "exec"), names)


def tree(text):
    """The errors of a tree in a text, each with the one above it."""
    found, above = {}, []
    for line in text[text.index("ChrionError  ") :].splitlines():
        if not (match := re.match(r"((?:[│ ] {3})*)(?:[├└]── )?([A-Z]\w+) {2,}\S", line)):
            break
        depth = (match.start(2)) // 4
        above[depth:] = [match[2]]
        found[match[2]] = above[depth - 1] if depth else "Exception"
    return found


def test_errors_are_one_tree_and_all_there():
    shown = tree(errors.__doc__)
    assert shown == tree(PAGE.read_text(encoding="utf-8"))
    exported = {name: getattr(face, name) for name in face.__all__}
    assert shown == {
        name: value.__base__.__name__
        for name, value in exported.items()
        if inspect.isclass(value) and issubclass(value, Exception)
    }


@pytest.mark.parametrize("thing", [*OWN, face.Session.run, face.Session.wait], ids=lambda thing: thing.__qualname__)
def test_docstring(here, thing):
    (examples,) = doctest.DocTestFinder(recurse=False).find(thing, globs={"chrion": face, "np": np})
    assert examples.examples, "has no example"
    said: list[str] = []
    doctest.DocTestRunner(verbose=False).run(examples, out=said.append)
    assert not said, "".join(said)


@pytest.mark.parametrize(
    "function", [*filter(inspect.isfunction, OWN), *METHODS], ids=lambda function: function.__qualname__
)
def test_parameters_results_and_errors_are_documented(function):
    text = inspect.getdoc(function)
    for name in inspect.signature(function).parameters.keys() - {"self"}:
        assert re.search(rf"^    {name}: ", text, re.MULTILINE), f"{name} is not documented"
    assert "\nRaises:\n" in text
    if inspect.signature(function).return_annotation is not None:
        assert "\nReturns:\n" in text
