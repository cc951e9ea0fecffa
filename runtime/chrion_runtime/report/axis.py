"""Axes with round ticks, for pictures made of characters as for SVG."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Axis:
    """A linear axis from `low` to `high`; `ticks` are values with the label each has in `unit`."""

    low: float
    high: float
    unit: str
    ticks: tuple[tuple[float, str], ...]

    @property
    def marks(self) -> list[tuple[float, str]]:
        """The ticks, each label with its unit."""
        return [(value, f"{text} {self.unit}" if value else "0") for value, text in self.ticks]

    def at(self, value: float) -> float:
        """Where a value lies between the ends, 0 to 1; values beyond them lie on them."""
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)


def time_axis(low: float, high: float, most: int) -> Axis:
    """An axis of seconds, labelled in µs, ms or s, with at most about `most` ticks."""
    for factor, unit in ((1e-6, "µs"), (1e-3, "ms")):
        if high < 1000 * factor:
            return _axis(low, high, most, factor, unit)
    return _axis(low, high, most, 1.0, "s")


def bytes_axis(high: float, most: int) -> Axis:
    """An axis of bytes from zero, labelled in KiB, MiB or GiB."""
    for factor, unit in ((2.0**10, "KiB"), (2.0**20, "MiB")):
        if high < 1024 * factor:
            return _axis(0.0, high, most, factor, unit)
    return _axis(0.0, high, most, 2.0**30, "GiB")


def _axis(low: float, high: float, most: int, factor: float, unit: str) -> Axis:
    if not high > low:
        high = low + factor
    step = _step((high - low) / factor / max(most, 1))
    decimals = max(0, -math.floor(math.log10(step)))
    first, last = math.ceil(low / factor / step - 1e-9), math.floor(high / factor / step + 1e-9)
    ticks = tuple(
        (index * step * factor, f"{index * step:,.{decimals}f}" if index else "0") for index in range(first, last + 1)
    )
    return Axis(low, high, unit, ticks)


def _step(rough: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is not below `rough`."""
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next(power * digit for digit in (1, 2, 5, 10) if power * digit >= rough * (1 - 1e-9))


def spread(values: list[float]) -> tuple[float, float]:
    """The ends of an axis that shows all values with room beside them, from zero where that costs little."""
    low, high = min(values), max(values)
    if low < 0.5 * high or low == high:
        return 0.0, high * 1.08 or 1e-6
    margin = 0.15 * (high - low)
    return low - margin, high + margin


def ruler(axis: Axis, columns: int) -> tuple[str, str]:
    """The axis as two lines of characters: ticks, and their labels, the last of which has the unit."""
    marks, labels = ["─"] * columns, " " * columns
    for value, text in reversed(axis.ticks):
        column = min(round(axis.at(value) * columns), columns - 1)
        marks[column] = "┴"
        label = f"{text} {axis.unit}" if labels.isspace() else text
        at = max(min(column - len(text) // 2, columns - len(label)), 0)
        if labels[max(at - 1, 0) : at + len(label) + 1].isspace():
            labels = labels[:at] + label + labels[at + len(label) :]
    return "".join(marks), labels.rstrip()
