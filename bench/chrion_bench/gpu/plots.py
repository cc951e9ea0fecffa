"""Plots of the GPU bench as SVG: latency against the original, and what GPU memory costs in latency."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chrion_bench.gpu.aims import LATENCY, MEMORY, REWRITTEN_CPU, REWRITTEN_GPU, Data, original_bytes, own_bytes, times
from chrion_bench.gpu.sessions import BOUND, GRAPH, PLACED, TENSORRT
from chrion_bench.plots import draw_all

_SHOWN = (BOUND, GRAPH, TENSORRT, REWRITTEN_GPU, REWRITTEN_CPU, LATENCY)


def plot(report: Mapping[str, Any], stem: Path) -> list[Path]:
    """Write `<stem>-latency.svg` and `<stem>-memory.svg`. Raises ImportError where matplotlib is not installed."""
    return draw_all(report["results"], stem, {"latency": _draw_latency, "memory": _draw_memory})


def _draw_latency(axes: Any, results: Sequence[Data]) -> None:
    """A column a model, a mark a contender."""
    for name in _SHOWN:
        points = [(place, ratio) for place, item in enumerate(results) if (ratio := times(item, name)) is not None]
        if points:
            axes.scatter(*zip(*points, strict=True), s=40 if name == LATENCY else 16, label=name)
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter("×{x:g}")
    axes.set_xticks(range(len(results)), [item["model"] for item in results], rotation=30, ha="right", fontsize=6)
    axes.set_ylabel("latency, in that of the default session on the GPU")
    axes.legend(fontsize=7)


def _draw_memory(axes: Any, results: Sequence[Data]) -> None:
    """Every point of each model's frontier, and of ONNX Runtime's placements, against the original."""
    for prefixes, label, marker in (
        ((LATENCY, MEMORY), "Chrion's plans", "o"),
        (PLACED, "ONNX Runtime's placement", "x"),
    ):
        points = [
            (taken / whole, ratio)
            for item in results
            for name in item["contenders"]
            if name.startswith(prefixes)
            and (whole := original_bytes(item))
            and (taken := own_bytes(item, name)) is not None
            and (ratio := times(item, name)) is not None
        ]
        if points:
            axes.scatter(*zip(*points, strict=True), s=18, marker=marker, label=label)
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_yscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.yaxis.set_major_formatter("×{x:g}")
    axes.set_xlabel("GPU memory without the context, as a part of the original's")
    axes.set_ylabel("latency, in that of the default session on the GPU")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7)
