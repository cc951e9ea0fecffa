"""Markdown tables, and how figures are written in them."""

from collections.abc import Iterable, Sequence

NONE = "-"
"""What stands where there is no figure."""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def ms(seconds: float | None) -> str:
    """Seconds as milliseconds."""
    return NONE if seconds is None else f"{seconds * 1e3:.3f}"


def factor(value: float | None) -> str:
    """How many times as fast."""
    return NONE if value is None else f"×{value:.2f}"


def percent(value: float | None, without: str = NONE) -> str:
    """A part as percent; `without` where there is none."""
    return without if value is None else f"{value:.0%}"


def error(value: float | None) -> str:
    """How far answers are off."""
    return NONE if value is None else f"{value:.2g}"
