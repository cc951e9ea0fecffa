"""The GPU bench's report as Markdown: what failed first, then the aims, latency and memory."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import geometric_mean
from typing import Any

from chrion_bench.gpu.aims import (
    LATENCY,
    MEMORY,
    REWRITTEN_CPU,
    REWRITTEN_GPU,
    STATED,
    Data,
    aims,
    dominates,
    less,
    misstated,
    original_bytes,
    own_bytes,
    partition_gain,
    times,
)
from chrion_bench.gpu.journal import verdict
from chrion_bench.gpu.sessions import BOUND, GRAPH, ORIGINAL, PLACED, TENSORRT
from chrion_bench.report import absences
from chrion_bench.tables import NONE, factor, ms, percent, table

_COMPARED = (ORIGINAL, BOUND, GRAPH, TENSORRT, REWRITTEN_GPU, REWRITTEN_CPU, LATENCY)


def page(report: Mapping[str, Any]) -> str:
    """The whole report."""
    results: list[Data] = report["results"]
    gpu, host = report["gpu"], report["machine"]
    parts = [
        f"# {gpu.get('product', 'No GPU')} with {host['cpu']}, {host['cores']} cores",
        f"**{verdict(report['steps'], report['seconds'])}**",
        _about(report),
        "## Aims\n\n" + table(("aim", "reached", ""), ([a.text, a.value, a.verdict] for a in aims(results))),
        "## Latency\n\n" + _partition(results) + "\n\n" + _latency(results) if results else "",
        "## GPU memory\n\n" + _memory(results) if results else "",
        "## Steps\n\n" + _steps(report["steps"]),
        absences(results),
        "## Warnings\n\n" + "\n".join(f"- {text}" for text in report["warnings"]) if report["warnings"] else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(report: Mapping[str, Any]) -> str:
    gpu, versions = report["gpu"], {**report["versions"], **report["gpu"].get("libraries", {})}
    named = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    stand_in = "" if gpu.get("device", "").startswith("cuda") else "**A dry run: no GPU was measured.** "
    return (
        f"{stand_in}{len(report['results'])} of {report['suite']} models were measured, {report['date']}, at commit "
        f"{report['commit'] or 'unknown'}; driver {gpu.get('driver') or NONE}; TF32 "
        f"{'on' if gpu.get('tf32') else 'off'} for all; TensorRT: {gpu.get('tensorrt', NONE)}; context "
        f"{_mib(gpu.get('contextBytes'))} MiB; {named}; {report['machine']['system']}. "
        "[docs/benchmarks.md](../../docs/benchmarks.md) says what is compared."
    )


def _partition(results: Sequence[Data]) -> str:
    gains = [gain for item in results if (gain := partition_gain(item)) is not None]
    if not gains:
        return "What the partition adds to the better single device could not be told."
    return (
        f"What the partition adds to the better single device, every rewrite that helps included: "
        f"{factor(geometric_mean(gains))} in geometric mean, from {factor(min(gains))} to {factor(max(gains))}."
    )


def _latency(results: Sequence[Data]) -> str:
    rows = []
    for item in results:
        ratio = times(item, LATENCY)
        rows.append(
            [
                item["model"],
                *(ms(item["contenders"].get(name, {}).get("p50")) for name in _COMPARED),
                item["plans"][LATENCY]["name"],
                NONE if ratio is None else less(ratio),
                factor(partition_gain(item)),
            ]
        )
    rows.append(["Chrion against it, geometric mean", *(_mean(results, name) for name in _COMPARED), "", "", ""])
    header = (
        "model",
        "default ms",
        "bound",
        "CUDA graph",
        "TensorRT",
        "rewritten, GPU",
        "rewritten, CPU",
        "Chrion",
        "its plan",
        "less latency than the default",
        "partition adds",
    )
    return table(header, rows)


def _mean(results: Sequence[Data], name: str) -> str:
    """How much less latency the latency plan has than this contender, over the models that it ran."""
    pairs = [(times(item, LATENCY), times(item, name)) for item in results]
    ratios = [plan / other for plan, other in pairs if plan and other]
    return less(geometric_mean(ratios)) + f" ({len(ratios)})" if ratios and name != LATENCY else NONE


def _memory(results: Sequence[Data]) -> str:
    rows = [row for item in results for row in _memory_rows(item)]
    header = (
        "model",
        "contender",
        "plan",
        "MiB, without context",
        "context",
        "less than the original",
        "times its latency",
        "work on the GPU",
        "stated, off by",
    )
    judged = [won for item in results if (won := dominates(item)) is not None]
    return (
        f"Stated is what the plan says, against what is seen of another process; within {STATED:.0%} counts as right. "
        f"The frontier dominates ONNX Runtime's placement on {sum(judged)} of {len(judged)} models.\n\n"
        + table(header, rows)
    )


def _memory_rows(item: Data) -> Iterable[list[str]]:
    whole = original_bytes(item)
    off = misstated(item)
    for name, contender in item["contenders"].items():
        if "absent" in contender or not name.startswith((ORIGINAL, PLACED, REWRITTEN_GPU, LATENCY, MEMORY)):
            continue
        plan, taken, ratio = item["plans"].get(name), own_bytes(item, name), times(item, name)
        yield [
            item["model"],
            name,
            plan["name"] if plan else NONE,
            _mib(taken),
            _mib(contender.get("contextBytes")),
            percent(1 - taken / whole) if whole and taken is not None else NONE,
            NONE if ratio is None else f"×{ratio:.2f}",
            percent(plan["gpuWork"]) if plan else NONE,
            percent(off.get(name)),
        ]


def _steps(steps: Sequence[Mapping[str, Any]]) -> str:
    return table(
        ("step", "seconds", "result"), ([step["name"], f"{step['seconds']:.0f}", step["said"]] for step in steps)
    )


def _mib(nbytes: int | None) -> str:
    return NONE if nbytes is None else f"{nbytes / 2**20:.1f}"
