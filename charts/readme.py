"""Writes the table of values into charts/chrion/README.md, from the comments in values.yaml."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

CHART = Path(__file__).parent / "chrion"
BEGIN, END = "<!-- values -->", "<!-- end of values -->"


class Value(NamedTuple):
    """One value of the chart: its path, what the comment above it says, and its default."""

    path: str
    comment: str
    default: Any


def values(text: str) -> Iterator[Value]:
    """Every value of values.yaml that has a comment; raises ValueError for one that has none.

    A key without a comment is a group of values. What a comment describes is one value, whatever is inside it.
    """
    comment: list[str] = []
    parents: list[tuple[int, str]] = []
    inside = -1
    defaults = yaml.safe_load(text)
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        key = re.match(r"\s*([A-Za-z]\w*):(.*)$", line)
        if line.strip().startswith("#"):
            comment.append(line.strip("# ").strip())
        elif not key:
            comment = []
        elif inside < 0 or indent <= inside:
            parents = [(depth, name) for depth, name in parents if depth < indent]
            path = [name for _, name in parents] + [key[1]]
            inside = indent if comment else -1
            if comment:
                yield Value(".".join(path), " ".join(comment), _at(defaults, path))
            elif key[2].strip():
                raise ValueError(f"values.yaml: {'.'.join(path)} has no comment")
            parents.append((indent, key[1]))
            comment = []


def readme(text: str, table: str) -> str:
    """The README with the table between its two marks."""
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{table}{END}{after}"


def table(text: str) -> str:
    """The values as a Markdown table."""
    lines = ["| value | default | means |", "|---|---|---|"]
    for value in values(text):
        default = json.dumps(value.default).replace("|", "\\|")
        lines.append(f"| `{value.path}` | `{default}` | {value.comment.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


def _at(tree: Any, path: list[str]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def generated() -> str:
    """README.md as it should be."""
    page = (CHART / "README.md").read_text(encoding="utf-8")
    return readme(page, table((CHART / "values.yaml").read_text(encoding="utf-8")))


if __name__ == "__main__":
    text = generated()
    (CHART / "README.md").write_text(text, encoding="utf-8")
