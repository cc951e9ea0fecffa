"""Plots of a report as SVG: gains by family, and how far each model is from its limit."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from chrion_bench.aims import LEAST_GAIN
from chrion_bench.results import Data, families, gain, times

_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "chrion",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
"""With a fixed salt the same results give the same bytes."""


def plot(report: Mapping[str, Any], stem: Path) -> list[Path]:
    """Write `<stem>-gains.svg` and `<stem>-limit.svg`. Raises ImportError where matplotlib is not installed."""
    return draw_all(report["results"], stem, {"gains": _draw_gains, "limit": _draw_limit})


def draw_all(
    results: Sequence[Data], stem: Path, charts: Mapping[str, Callable[[Any, Sequence[Data]], None]]
) -> list[Path]:
    """Write `<stem>-<name>.svg` for each chart, which draws into axes. Raises ImportError without matplotlib."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    written = []
    with mpl.rc_context(_STYLE):
        for name, draw in charts.items():
            figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
            draw(axes, results)
            written.append(stem.with_name(f"{stem.name}-{name}.svg"))
            figure.savefig(written[-1], metadata={"Date": None})
            pyplot.close(figure)
    return written


def _draw_gains(axes: Any, results: Sequence[Data]) -> None:
    """A dot a model, a bar at each family's geometric mean."""
    grouped = families(results)
    for place, items in enumerate(grouped.values()):
        gains = [gain(item) or 0.0 for item in items]
        axes.scatter([place] * len(gains), gains, s=10, alpha=0.4, color="tab:blue", linewidths=0)
        axes.hlines(geometric_mean(gains), place - 0.3, place + 0.3, color="tab:orange", linewidth=2)
    axes.axhline(1, color="black", linewidth=0.8)
    axes.axhline(LEAST_GAIN, color="black", linewidth=0.5, linestyle=":")
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter("×{x:g}")
    axes.set_xticks(range(len(grouped)), grouped, rotation=30, ha="right")
    axes.set_ylabel("gain over ONNX Runtime's default session")


def _draw_limit(axes: Any, results: Sequence[Data]) -> None:
    """Each model's plan against its default session, both in multiples of the limit."""
    for family, items in families(results).items():
        points = [(found[0] / found[2], found[1] / found[2]) for item in items if (found := times(item))]
        axes.scatter(*zip(*points, strict=True), s=14, alpha=0.6, label=family, linewidths=0)
    most = max((found[0] / found[2] for item in results if (found := times(item))), default=2.0)
    ends = (1.0, max(most, 1.5))
    axes.plot(ends, ends, color="black", linewidth=0.8, label="as the default session")
    axes.axhline(1, color="black", linewidth=0.5, linestyle=":")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.xaxis.set_major_formatter("×{x:g}")
    axes.yaxis.set_major_formatter("×{x:g}")
    axes.set_xlabel("default session, in multiples of the limit")
    axes.set_ylabel("plan, in multiples of the limit")
    axes.legend(fontsize=7, loc="upper left")
