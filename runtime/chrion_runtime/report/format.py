"""How numbers and names are written, in a terminal as on a page."""

import json
import re
from collections.abc import Iterable, Mapping

from rich.cells import cell_len, set_cell_size

from chrion_api import Rewrite, Shape, Stage

_JOINERS = "\u200c\u200d"
"""Zero-width (non-)joiners: not printable by themselves, yet part of words and emoji."""

NOTHING = "\N{EN DASH}"
"""What stands where there is no number."""


def seconds(value: float) -> str:
    """A time to three digits: `843 µs`, `1.23 ms`, `12.3 s`."""
    for factor, unit in ((1e6, "µs"), (1e3, "ms")):
        number = float(f"{value * factor:.3g}")
        if number < 1000:
            return f"{_digits(number)} {unit}"
    return f"{_digits(value)} s"


def size(nbytes: int) -> str:
    """An amount of bytes to three digits: `512 B`, `12.3 MiB`."""
    if nbytes < 1000:
        return f"{nbytes} B"
    number = nbytes / 1024
    for unit in ("KiB", "MiB", "GiB"):
        if number < 999.5:
            return f"{_digits(number)} {unit}"
        number /= 1024
    return f"{_digits(number)} TiB"


def _digits(number: float) -> str:
    if number == 0:
        return "0"
    if number >= 100:
        return f"{number:,.0f}"
    return f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def share(fraction: float) -> str:
    """A part of a whole: `87 %`, `0.4 %`."""
    percent = 100 * fraction
    return f"{percent:.1f} %" if 0 < percent < 9.95 else f"{percent:.0f} %"


def change(fraction: float) -> str:
    """A signed difference: `+4.3 %`, or with a minus sign."""
    percent = abs(100 * fraction)
    sign = "+" if fraction > 0 else "\N{MINUS SIGN}"
    if percent < 0.05:
        return "0 %"
    return f"{sign}{percent:.1f} %" if percent < 9.95 else f"{sign}{percent:,.0f} %"


def ratio(value: float) -> str:
    """A factor: a multiplication sign and `1.34`."""
    return f"\N{MULTIPLICATION SIGN}{value:.2f}" if value < 100 else f"\N{MULTIPLICATION SIGN}{value:,.0f}"


def count(number: int, one: str, many: str | None = None) -> str:
    """A number with its word: `1 stage`, `12 stages`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def shape(sizes: Shape) -> str:
    """`[1, 50, 161]`; `scalar` where there are no axes."""
    return f"[{', '.join(map(str, sizes))}]" if sizes else "scalar"


def inputs(shapes: dict[str, Shape]) -> str:
    """The inputs of a bucket: `input [1, 50, 161], state [1, 400]`."""
    return ", ".join(f"{clean(name)} {shape(sizes)}" for name, sizes in shapes.items()) or "no open inputs"


def engine(stage: Stage) -> str:
    """A stage's engine, and how it runs it."""
    said = [str(value) if not isinstance(value, bool) else name for name, value in sorted(stage.options.items())]
    return clean(" ".join((stage.engine, *said)))


def engines(versions: Mapping[str, str]) -> str:
    """Engines with their versions."""
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))


def nodes(stage: Stage) -> str:
    """The stage's nodes as ranges with room to wrap: `0-15, 17`."""
    return str(stage.to_data()["nodes"]).replace(",", ", ")


def rewrite(entry: Rewrite) -> str:
    """A rewrite as a call: `split-directions(node=3)`."""
    arguments = (f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in entry.parameters.items())
    return clean(f"{entry.name}({', '.join(arguments)})")


def lanes(names: Iterable[str]) -> str:
    """Lanes with neighbours drawn together: cpu/0 to cpu/3 as one run."""
    runs: list[tuple[str, int | None, int | None]] = []
    for name in sorted(names, key=natural):
        device, _, number = name.rpartition("/")
        index = int(number) if device and re.fullmatch(r"[0-9]{1,9}", number) else None
        if index is not None and runs and runs[-1][0] == device and runs[-1][2] == index - 1:
            runs[-1] = (device, runs[-1][1], index)
        else:
            runs.append((name if index is None else device, index, index))
    return ", ".join(_run(*run) for run in runs)


def _run(device: str, first: int | None, last: int | None) -> str:
    if first is None:
        return clean(device)
    return clean(f"{device}/{first}" if first == last else f"{device}/{first}{NOTHING}{last}")


def natural(name: str) -> list[tuple[bool, int, str]]:
    """A sort key by which cpu/2 comes before cpu/10."""
    parts = re.split(r"([0-9]+)", name)
    return [(part.isdecimal(), len(part.lstrip("0")) if part.isdecimal() else 0, part) for part in parts]


def clean(text: str) -> str:
    """Text without control characters, which could drive a terminal and are not allowed in XML."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter in _JOINERS else " " if letter.isspace() else "\ufffd"
        for letter in text
    )


def clip(text: str, width: int) -> str:
    """Text of at most `width` terminal cells, an ellipsis at its end where it was cut."""
    text = clean(text)
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…" if width > 0 else ""
