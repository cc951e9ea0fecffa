"""Elements of HTML and SVG; every text is escaped by the serialiser, none is pasted."""

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element, tostring

from chrion_runtime.drawing.format import clean

__all__ = ["Element", "el", "render", "table"]


def el(tag: str, *children: Element | str | None, **attributes: str | float | None) -> Element:
    """An element with its children; `class_` writes class, `stroke_width` stroke-width, None leaves out.

    Numbers are written with at most two decimals.
    """
    node = Element(tag)
    for name, value in attributes.items():
        if value is not None:
            node.set(name.rstrip("_").replace("_", "-"), clean(value) if isinstance(value, str) else number(value))
    last: Element | None = None
    for child in children:
        if isinstance(child, str):
            if last is None:
                node.text = (node.text or "") + clean(child)
            else:
                last.tail = (last.tail or "") + clean(child)
        elif child is not None:
            node.append(child)
            last = child
    return node


def number(value: float) -> str:
    """A coordinate: `12`, `0.75`."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.0f}"


def render(page: Element) -> str:
    """The element as an HTML document."""
    return "<!doctype html>\n" + tostring(page, encoding="unicode", method="html") + "\n"


def table(
    caption: str, headings: Sequence[str], rows: Iterable[Element], texts: int, also: Sequence[int] = ()
) -> Element:
    """A table that scrolls by itself where it is too wide; the first `texts` columns, and `also`, hold text."""
    cells = (
        el("th", heading, scope="col", class_="text" if index < texts or index in also else None)
        for index, heading in enumerate(headings)
    )
    whole = el("table", el("caption", caption), el("thead", el("tr", *cells)), el("tbody", *rows))
    return el("div", whole, class_="scroll")
