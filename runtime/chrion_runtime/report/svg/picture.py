"""What all pictures share: their frame with its words for those who do not see it, and the grid of their time axis."""

from collections.abc import Callable, Iterable, Iterator

from chrion_runtime.report.markup import Element, el

WIDTH = 1000
Across = Callable[[float], float]
"""From seconds to the horizontal place in the picture."""


def picture(kind: str, height: float, key: str, title: str, description: str, *content: Element) -> Element:
    """A picture of that class, 1000 wide; `key` makes ids unique in the page."""
    return el(
        "svg",
        el("title", title, id=f"{key}-t"),
        el("desc", description, id=f"{key}-d"),
        *content,
        class_=kind,
        viewBox=f"0 0 {WIDTH} {height:.0f}",
        role="img",
        aria_labelledby=f"{key}-t {key}-d",
    )


def time_grid(
    ticks: Iterable[tuple[float, str]], across: Across, top: float, bottom: float, text: float
) -> Iterator[Element]:
    """A line from top to bottom at each tick of a time axis, its label at the height `text`."""
    for value, label in ticks:
        x = across(value)
        yield el("path", d=f"M{x:.1f} {top:.1f}V{bottom:.1f}")
        yield el("text", label, x=x, y=text, class_="note middle")
