"""What the results say: means per family, the three aims, predictions; and all of it as a Markdown page."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import geometric_mean, median
from typing import Any

from chrion_bench.contenders import CONTROL, DEFAULT, ONE_THREAD, OPENVINO, PARALLEL
from chrion_bench.limit import family_gap_closed, gap_closed
from chrion_bench.measure import PLAN
from chrion_bench.suite import UNROLLED

Data = Mapping[str, Any]
"""One model's result, as `measure` gives it."""

UNROLLED_AIM, GAP_AIM, LEAST_GAIN = 3.0, 0.6, 0.97
NEAR = 0.15
"""A prediction this near to the measured time counts as right."""
_WORST = 10
NONE = "-"


@dataclass(frozen=True)
class Aim:
    """One aim, the value reached, and whether that meets it; None where no model of that kind was measured."""

    text: str
    value: str
    met: bool | None

    @property
    def verdict(self) -> str:
        """pass, miss or not measured."""
        return "not measured" if self.met is None else "pass" if self.met else "miss"


def gain(item: Data, over: str = DEFAULT) -> float | None:
    """How many times as fast as the contender `over` the plan is; None where that one is absent."""
    base = item["contenders"][over]
    return float(item["contenders"][PLAN]["gain"] / base["gain"]) if "gain" in base else None


def times(item: Data) -> tuple[float, float, float]:
    """Seconds of the default session, of the plan (by its gain, from figures of the same rounds), and the limit."""
    default = item["contenders"][DEFAULT]["p50"]
    return default, default / item["contenders"][PLAN]["gain"], item["limit"]


def families(results: Iterable[Data]) -> dict[str, list[Data]]:
    """The results by family, in the order in which families come first."""
    found: dict[str, list[Data]] = {}
    for item in results:
        found.setdefault(item["family"], []).append(item)
    return found


def aims(results: Sequence[Data]) -> list[Aim]:
    """The aims on CPUs, and what was reached of them."""
    unrolled = [gain(item) or 0.0 for item in results if item["family"] == UNROLLED]
    mean = geometric_mean(unrolled) if unrolled else None
    closed = family_gap_closed(times(item) for item in results if item["wholeLayer"])
    slow = [item["model"] for item in results if (gain(item) or 0.0) < LEAST_GAIN]
    least = min((gain(item) or 0.0 for item in results), default=None)
    return [
        Aim(
            f"unrolled cells: at least ×{UNROLLED_AIM:g} over the default session, in geometric mean",
            factor(mean),
            None if mean is None else mean >= UNROLLED_AIM,
        ),
        Aim(
            f"whole layers and real models: at least {GAP_AIM:.0%} of the gap to the limit closed",
            percent(closed),
            None if closed is None else closed >= GAP_AIM,
        ),
        Aim(
            f"no model below ×{LEAST_GAIN:g}",
            f"{len(slow)} of {len(results)} below, the least {factor(least)}",
            None if least is None else not slow,
        ),
    ]


def page(report: Mapping[str, Any]) -> str:
    """The whole report as Markdown."""
    results: list[Data] = report["results"]
    return (
        "\n\n".join(
            part
            for part in (
                f"# {report['machine']['cpu']}, {report['machine']['cores']} cores",
                _about(report),
                "## Aims\n\n" + table(("aim", "reached", ""), ([a.text, a.value, a.verdict] for a in aims(results))),
                _noise(results),
                "## Families\n\n" + _families(results),
                "## Predicted against measured\n\n" + _predictions(results),
                "## Models\n\n" + _models(results),
                _failures(report["failures"]),
                absences(results),
            )
            if part
        )
        + "\n"
    )


def _about(report: Mapping[str, Any]) -> str:
    machine, versions = report["machine"], report["versions"]
    named = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    measured, failed, size = len(report["results"]), len(report["failures"]), report["suite"]
    return (
        f"{measured} of the {size} models of the suite were measured"
        + (f", {failed} more failed" if failed else "")
        + f", {report['date']}, at commit {report['commit'] or 'unknown'}; {named}; {machine['system']}. "
        f"Memory is read at {machine['memoryBytesPerSecond'] / 1e9:.1f} GB/s by all cores together; the last cache "
        f"holds {machine['lastLevelCacheBytes'] / 2**20:.0f} MiB. [docs/benchmarks.md](../../docs/benchmarks.md) says "
        "what is compared, and what the limit is."
    )


def _noise(results: Sequence[Data]) -> str:
    """What came of the default session measured against itself."""
    contenders = [item["contenders"].get(CONTROL, {}) for item in results]
    found = [contender["gain"] for contender in contenders if "gain" in contender]
    if not found:
        return ""
    return (
        f"The default session in a second process of its own came out at {factor(min(found))} … {factor(max(found))} "
        f"of itself, in the median at {factor(median(found))}: gains and losses within that are noise."
    )


def _families(results: Sequence[Data]) -> str:
    grouped = families(results)
    whole = [item for item in results if item["wholeLayer"]]
    groups = {**grouped, "whole layers and real": whole, "all": list(results)}
    rows = []
    for name, items in groups.items():
        if not items:
            continue
        gains = [gain(item) or 0.0 for item in items]
        shares = [share for item in items if (share := gap_closed(*times(item))) is not None]
        rows.append(
            [
                name,
                str(len(items)),
                *(_mean_gain(items, over) for over in (DEFAULT, ONE_THREAD, PARALLEL, OPENVINO)),
                f"{factor(min(gains))} … {factor(max(gains))}",
                str(sum(value < LEAST_GAIN for value in gains)),
                percent(family_gap_closed(map(times, items))),
                percent(median(shares) if shares else None),
                str(len(items) - len(shares)),
            ]
        )
    header = (
        "family",
        "models",
        "over default",
        "over 1 thread",
        "over parallel",
        "over OpenVINO",
        "over default, range",
        f"below ×{LEAST_GAIN:g}",
        "gap closed",
        "median",
        "default at limit",
    )
    return "Gains are geometric means.\n\n" + table(header, rows)


def _predictions(results: Sequence[Data]) -> str:
    found = [
        (abs(plan["predicted"] - plan["measured"]) / plan["measured"], item["model"], plan)
        for item in results
        for plan in item["predictions"]
    ]
    kinds: dict[str, Callable[[int], bool]] = {
        "all": lambda stages: stages > 0,
        "one stage": lambda stages: stages == 1,
        "several stages": lambda stages: stages > 1,
    }
    rows = []
    for name, wanted in kinds.items():
        errors = [error for error, _, plan in found if wanted(plan["stages"])]
        near = sum(error <= NEAR for error in errors)
        share = f"{near / len(errors):.0%}" if errors else NONE
        rows.append([name, str(len(errors)), share, f"{median(errors):.1%}" if errors else NONE])
    worst = sorted(found, key=lambda entry: -entry[0])[:_WORST]
    return (
        table(("plans", "count", f"within {NEAR:.0%}", "median error"), rows)
        + "\n\nThe worst:\n\n"
        + table(
            ("model", "plan", "stages", "predicted ms", "measured ms", "error"),
            (
                [
                    model,
                    plan["plan"],
                    str(plan["stages"]),
                    ms(plan["predicted"]),
                    ms(plan["measured"]),
                    f"{error:.0%}",
                ]
                for error, model, plan in worst
            ),
        )
    )


def _models(results: Sequence[Data]) -> str:
    rows = []
    for item in results:
        contenders = item["contenders"]
        rows.append(
            [
                item["model"],
                *(ms(contenders[name].get("p50")) for name in (DEFAULT, ONE_THREAD, PARALLEL, OPENVINO, PLAN)),
                item["plan"]["name"],
                factor(gain(item)),
                factor(contenders.get(CONTROL, {}).get("gain")),
                ms(item["limit"]),
                percent(gap_closed(*times(item)), "at limit"),
            ]
        )
    header = (
        "model",
        "default ms",
        "1 thread",
        "parallel",
        "OpenVINO",
        "plan",
        "",
        "gain",
        "default again",
        "limit ms",
        "gap closed",
    )
    return table(header, rows)


def _failures(failures: Sequence[Data]) -> str:
    if not failures:
        return ""
    return "## Failed\n\n" + table(("model", "why"), ([item["model"], item["error"]] for item in failures))


def absences(results: Sequence[Data]) -> str:
    """The contenders that are not there, each with its reason; empty where all are."""
    rows = [
        [item["model"], name, contender["absent"]]
        for item in results
        for name, contender in item["contenders"].items()
        if "absent" in contender
    ]
    return "## Absent contenders\n\n" + table(("model", "contender", "why"), rows) if rows else ""


def _mean_gain(items: Sequence[Data], over: str) -> str:
    """With the number of models where not all have that contender."""
    gains = [value for item in items if (value := gain(item, over)) is not None]
    if not gains:
        return NONE
    return factor(geometric_mean(gains)) + (f" ({len(gains)})" if len(gains) < len(items) else "")


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
