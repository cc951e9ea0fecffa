"""Elements of HTML and SVG; every text is escaped by the serialiser, none is pasted."""

from xml.etree.ElementTree import Element

from chrion_runtime.report.format import clean

__all__ = ["Element", "el"]


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
