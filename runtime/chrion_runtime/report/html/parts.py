"""What every page is made of: the document, tables, figures, and the colour of a device."""

from collections.abc import Container, Iterable
from xml.etree.ElementTree import tostring

from chrion_runtime.report.markup import Element, el

Cell = str | Element | tuple[str | Element, ...]
"""What a cell of a table holds, or the line that a fold shows."""
HEADS = frozenset((0,))
"""The columns of text where the first alone is text: it heads the row."""


def document(title: str, head: Iterable[Element], body: Iterable[Element]) -> str:
    """A whole HTML document; `head` is what its head holds besides the title."""
    known = (
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", title),
    )
    whole = el("html", el("head", *known, *head), el("body", *body), lang="en")
    return "<!doctype html>\n" + tostring(whole, encoding="unicode", method="html") + "\n"


def table(caption: str, headings: Iterable[str], rows: Iterable[Element], text: Container[int] = HEADS) -> Element:
    """A table that scrolls by itself where it is too wide; the columns in `text` hold text, the others numbers."""
    cells = (
        el("th", heading, scope="col", class_="text" if index in text else None)
        for index, heading in enumerate(headings)
    )
    whole = el("table", el("caption", caption), el("thead", el("tr", *cells)), el("tbody", *rows))
    return el("div", whole, class_="scroll")


def row(*cells: Cell, text: Container[int] = HEADS, class_: str | None = None) -> Element:
    """A row of a table, headed by its first cell."""
    made = el("tr", class_=class_)
    for index, cell in enumerate(cells):
        tag, scope = ("td", None) if index else ("th", "row")
        made.append(el(tag, *_children(cell), scope=scope, class_="text" if index in text else None))
    return made


def figure(picture: Element, *caption: Element | str, hidden: str | None = None) -> Element:
    """A picture that scrolls by itself where the window is narrow, and the caption below it."""
    below = el("figcaption", *caption, class_="soft") if caption else None
    return el("figure", el("div", picture, class_="scroll"), below, hidden=hidden)


def swatch(name: str) -> Element:
    """A little square in the colour of the style sheet's class of that name, d0 for the first device."""
    return el("span", class_=f"key {name}", aria_hidden="true")


def fold(heading: Cell, *content: Element | None, opened: bool = False, class_: str | None = None) -> Element:
    """Content that a click on its heading shows and hides."""
    summary = el("summary", *_children(heading))
    return el("details", summary, *content, class_=class_, open="open" if opened else None)


def _children(cell: Cell) -> tuple[str | Element, ...]:
    return cell if isinstance(cell, tuple) else (cell,)
