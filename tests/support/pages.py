"""The pages of the documentation, and what stands in them."""

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from markdown_it.token import Token

from tests.support.scripts import script

ROOT = Path(__file__).parents[2]
GATHER = script(ROOT / "docs" / "gather.py")
"""The script that gathers the pages of the site, with its reading of Markdown."""
PAGES = sorted(
    path
    for folder in (".", "bench/profiles", "bench/results", "charts", "charts/chrion", "crds", "docs/**", "operator")
    for path in ROOT.glob(f"{folder}/*.md")
)
"""Every page that people read, linked to or not."""


class Fence(NamedTuple):
    """A block of code in a page."""

    language: str
    text: str


@cache
def tokens(page: Path) -> list[Token]:
    """The page as Markdown has it."""
    found: list[Token] = GATHER.MARKDOWN.parse(page.read_text(encoding="utf-8"))
    return found


def fences(page: Path) -> Iterator[Fence]:
    """Its blocks of code."""
    for token in tokens(page):
        if token.type == "fence":
            yield Fence(token.info, token.content)


def sections(page: Path) -> dict[str, list[Fence]]:
    """Its blocks of code by the title of the section that they stand in."""
    found: dict[str, list[Fence]] = {}
    title = ""
    blocks = tokens(page)
    for position, token in enumerate(blocks):
        if token.type == "heading_open" and token.tag == "h2":
            title = blocks[position + 1].content
        elif token.type == "fence":
            found.setdefault(title, []).append(Fence(token.info, token.content))
    return found


def spans(page: Path) -> Iterator[str]:
    """Its code within lines."""
    for token in tokens(page):
        yield from (child.content for child in token.children or () if child.type == "code_inline")


@cache
def anchors(page: Path) -> set[str]:
    """The anchors of its headings, as code forges and the site make them."""
    found: list[str] = []
    for heading, title in pairwise(tokens(page)):
        if heading.type == "heading_open":
            text = "".join(part.content for part in title.children or ()).strip().lower()
            slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
            found.append(f"{slug}-{found.count(slug)}" if slug in found else slug)
    return set(found)
