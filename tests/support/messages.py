"""Every message that a user can get, found in the code and written to docs/messages.md.

`python -m tests.support.messages docs/messages.md` writes the page. Messages are read from syntax trees and not from
runs of the tests: that takes a second, leaves none out, and the same code gives the same page.
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from chrion_operator.crd.definition import definition

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "cli": "Commands",
    "api": "Documents",
    "graph": "Models",
    "planner": "Planning",
    "runtime": "Serving",
    "operator": "The operator",
}
KINDS = {
    "Claim": "condition",
    "JobReport": "condition",
    "Trouble": "condition",
    "Selection": "reason",
    "Move": "reason",
    "Termination": "last words",
    "_leave": "last words",
    "warn": "log: warning",
    "print": "output",
    "say": "output",
}
"""What functions make of their texts, by name."""
LEVELS = ("debug", "info", "warning", "error", "exception")
SILENT = ("/report/", "/serve/page/", "/openapi.py", "/crd/", "/partition/", "wire.py", "region.py", "channel.py")
"""Parts of paths whose texts are reports and descriptions, or are seen by no user."""
INTRODUCTION = """# Messages

Every message of Chrion, by the part that it comes from: errors by their class, log lines by their level, the operator's
conditions, reasons for choosing a plan, output, the last words of commands in pods, and parts that complete other
messages. Words in braces stand for values. `--help` is not listed, nor are texts of libraries that some of these quote.

`make schema` writes this page from the code.
"""

Scope = Mapping[str, ast.expr]
Messages = dict[str, set[str]]
"""Texts by what they are: the class of an error, `log: LEVEL`, `part`, or one of `KINDS`."""


def page() -> str:
    """The page as Markdown."""
    trees = {package: [ast.parse(file.read_text(encoding="utf-8")) for file in _files(package)] for package in PACKAGES}
    errors, constants = _error_classes(trees), _constants(trees)
    sections = [INTRODUCTION]
    for package, title in PACKAGES.items():
        found: Messages = defaultdict(set)
        for tree in trees[package]:
            for kind, text in _messages(tree, errors):
                found[kind].add(re.sub(r"\{([A-Za-z_]+)\}", lambda name: constants.get(name[1], name[0].lower()), text))
        sections.append(f"## {title}\n\n{_listed(found)}")
    rules: Messages = {"The API server rejects a ChrionModel by these rules": set(_rules(definition()))}
    return "\n".join([*sections, f"## The CustomResourceDefinition\n\n{_listed(rules)}"])


def _files(package: str) -> list[Path]:
    files = sorted((ROOT / package).rglob("*.py"))
    return [file for file in files if not any(part in file.as_posix() for part in SILENT)]


def _listed(found: Messages) -> str:
    return "\n".join(
        f"**{kind}**\n\n" + "".join(f"- {_quoted(text)}\n" for text in sorted(texts))
        for kind, texts in sorted(found.items())
    )


def _quoted(text: str) -> str:
    mark = "``" if "`" in text else "`"
    return f"{mark} {text} {mark}" if "`" in text else f"{mark}{text}{mark}"


def _error_classes(trees: Mapping[str, list[ast.Module]]) -> set[str]:
    """The names of all classes that derive from an exception, Python's own included."""
    bases: dict[str, set[str]] = {}
    for tree in (tree for parsed in trees.values() for tree in parsed):
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = {base.id for base in node.bases if isinstance(base, ast.Name)}
    found = {"Exception", "ValueError", "OSError", "ImportError", "TypeError", "RuntimeError"}
    while more := {name for name, above in bases.items() if above & found} - found:
        found |= more
    return found


def _constants(trees: Mapping[str, list[ast.Module]]) -> dict[str, str]:
    """The texts of constants, by names that only one module gives."""
    found: dict[str, list[ast.expr]] = defaultdict(list)
    for tree in (tree for parsed in trees.values() for tree in parsed):
        for name, value in _assigned(tree.body).items():
            found[name.strip("_")].append(value)
    only = {name: values[0] for name, values in found.items() if name.isupper() and len(values) == 1}
    return {
        name: value.value
        for name, value in only.items()
        if isinstance(value, ast.Constant) and isinstance(value.value, str)
    }


def _messages(tree: ast.Module, errors: set[str]) -> Iterator[tuple[str, str]]:
    """Each message of a module with its kind."""
    known = _assigned(tree.body)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name in errors:
            yield from _in_block(node, known, errors, node.name)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _in_block(node, {**known, **_assigned(list(ast.walk(node)))}, errors)
            if node.returns is not None and re.search(r"\bstr\b", ast.unparse(node.returns)):
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Return | ast.Yield) and inner.value is not None:
                        yield from (("part", text) for text in _texts(inner.value, known) if _says(text, 4))
    for statement in tree.body:
        if not isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _in_block(statement, known, errors)


def _in_block(block: ast.AST, scope: Scope, errors: set[str], own: str = "") -> Iterator[tuple[str, str]]:
    for node in ast.walk(block):
        if isinstance(node, ast.Call) and (kind := _kind(node, errors, own)):
            arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
            if kind.startswith("log: ") and arguments:
                yield from ((kind, _filled(text, arguments[1:])) for text in _texts(arguments[0], scope) if _says(text))
            elif not kind.startswith("log: "):
                texts = (text for argument in arguments for text in _texts(argument, scope))
                yield from ((kind, text) for text in texts if _says(text))


def _kind(call: ast.Call, errors: set[str], own: str) -> str:
    """What a call does with its texts; empty where it makes no message of them."""
    match call.func:
        case ast.Name(name) if name in errors and not own:
            return name
        case ast.Name(name) | ast.Attribute(_, "warn" | "say" as name) if name in KINDS:
            return KINDS[name]
        case ast.Attribute(ast.Name("log" | "_log"), level) if level in LEVELS:
            return f"log: {level.replace('exception', 'error')}"
        case ast.Attribute(ast.Name("typer"), "echo"):
            return "output"
        case ast.Attribute(ast.Call(ast.Name("super")), "__init__"):
            return own
    return ""


def _assigned(statements: list[Any]) -> dict[str, ast.expr]:
    """The values of plain names among statements."""
    return {
        statement.targets[0].id: statement.value
        for statement in statements
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
    }


def _texts(node: ast.expr, scope: Scope, depth: int = 3) -> list[str]:
    """The texts that an expression may come to; none where it is no text."""
    match node:
        case ast.Constant(str(text)):
            return [text]
        case ast.JoinedStr(values):
            return ["".join(_piece(value) for value in values)]
        case ast.BinOp(left, ast.Add(), right):
            return [a + b for a in _texts(left, scope) for b in _texts(right, scope)]
        case ast.IfExp(_, body, otherwise):
            return [*_texts(body, scope), *_texts(otherwise, scope)]
        case ast.Call(ast.Name("redacted" | "one_line"), [text, *_]):
            return _texts(text, scope)
        case ast.Name(name) if name in scope and depth:
            return _texts(scope[name], scope, depth - 1)
    return []


def _piece(value: ast.expr) -> str:
    if isinstance(value, ast.FormattedValue):
        return f"{{{_name(value.value)}}}"
    return str(value.value) if isinstance(value, ast.Constant) else ""


def _name(node: ast.expr) -> str:
    """What to call a value: the last name of an attribute, what a function is called with, and the like."""
    match node:
        case ast.Name(name) | ast.Attribute(_, name):
            return name.strip("_")
        case ast.Call(ast.Attribute(ast.Constant(), "join"), [argument]):
            return _name(argument)
        case ast.Call(_, [argument, *_]):
            return _name(argument)
        case ast.Call(ast.Attribute(ast.Name("os"), name)):
            return name.removeprefix("get")
        case ast.Call(ast.Attribute(value, _)) | ast.Subscript(value) | ast.BinOp(value) | ast.BoolOp(_, [value, *_]):
            return _name(value)
        case ast.IfExp(_, ast.Constant(one), ast.Constant(other)):
            return f"{one} or {other}"
    return "…"


def _filled(text: str, arguments: list[ast.expr]) -> str:
    """A text with names in place of its `%s`."""
    names = iter([part for argument in arguments for part in _parts(argument)])
    return re.sub(r"%[.\d]*[sdrgf]", lambda _: f"{{{next(names, '…')}}}", text)


def _parts(argument: ast.expr) -> tuple[str, ...]:
    """The names of an argument's values: a starred one is an object's."""
    match argument:
        case ast.Starred(ast.Name("key")):
            return "namespace", "name"
        case ast.Starred():
            return "kind", "namespace", "name"
    return (_name(argument),)


def _says(text: str, words: int = 2) -> bool:
    """Whether a text has so many words besides its values, and is one line."""
    spaced = [word for word in re.sub(r"\{.*?\}", "…", text).split() if re.search(r"[A-Za-z]{2,}", word)]
    return "\n" not in text and len(spaced) >= words


def _rules(schema: Any) -> Iterator[str]:
    """The messages of all rules within a schema."""
    if isinstance(schema, dict):
        yield from (rule["message"] for rule in schema.get("x-kubernetes-validations", ()))
        schema = list(schema.values())
    if isinstance(schema, list):
        for inner in schema:
            yield from _rules(inner)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
