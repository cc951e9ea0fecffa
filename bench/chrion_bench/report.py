"""The results as a Markdown page: aims, means per family, predictions, and a row for each model."""

from collections.abc import Callable, Mapping, Sequence
from statistics import geometric_mean, median
from typing import Any

from chrion_bench.aims import LEAST_GAIN, aims
from chrion_bench.contenders import CONTROL, DEFAULT, INT8, ONE_THREAD, OPENVINO, PARALLEL
from chrion_bench.measure import PLAN
from chrion_bench.results import PHYSICAL, Data, closed, families, family_closed, gain
from chrion_bench.tables import NONE, error, factor, ms, percent, table

NEAR = 0.15
"""A prediction this near to the measured time counts as right."""
_WORST = 10


def page(report: Mapping[str, Any]) -> str:
    """The whole report as Markdown."""
    results: list[Data] = report["results"]
    return (
        "\n\n".join(
            part
            for part in (
                f"# {report['machine']['cpu']}, {report['machine']['cores']} cores",
                _about(report),
                _aims(results, report["idleSeconds"]),
                _noise(results),
                "## Families\n\n" + _families(results),
                "## Predicted against measured\n\n" + _predictions(results),
                "## Models\n\n" + _models(results),
                "## The machine's speeds\n\n" + _speeds(report["machine"]["speeds"]),
                _failures(report["failures"]),
                absences(results),
            )
            if part
        )
        + "\n"
    )


def _aims(results: Sequence[Data], idle: float) -> str:
    told = "They are set for calls back to back; these are not.\n\n" if idle else ""
    rows = ([aim.text, aim.value, aim.verdict] for aim in aims(results))
    return f"## Aims\n\n{told}Gains over the default session, in geometric mean.\n\n" + table(
        ("aim", "reached", ""), rows
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
        f"holds {machine['lastLevelCacheBytes'] / 2**20:.0f} MiB. "
        f"{_between(report['idleSeconds'])}[docs/benchmarks.md](../../docs/benchmarks.md) says "
        "what is compared, and what the limits are."
    )


def _between(idle: float) -> str:
    return f"**{idle * 1e3:g} ms without work before each call.** " if idle else ""


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
        shares = [share for item in items if (share := closed(item)) is not None]
        rows.append(
            [
                name,
                str(len(items)),
                *(_mean_gain(items, over) for over in (DEFAULT, ONE_THREAD, PARALLEL, OPENVINO, INT8)),
                f"{factor(min(gains))} … {factor(max(gains))}",
                str(sum(value < LEAST_GAIN for value in gains)),
                percent(family_closed(items)),
                percent(median(shares) if shares else None),
                str(len(items) - len(shares)),
                percent(family_closed(items, PHYSICAL)),
            ]
        )
    header = (
        "family",
        "models",
        "over default",
        "over 1 thread",
        "over parallel",
        "over OpenVINO",
        "over int8",
        "over default, range",
        f"below ×{LEAST_GAIN:g}",
        "gap closed",
        "median",
        "default at limit",
        "physical gap closed",
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
                *(
                    ms(contenders.get(name, {}).get("p50"))
                    for name in (DEFAULT, ONE_THREAD, PARALLEL, OPENVINO, INT8, PLAN)
                ),
                item["plan"]["name"],
                factor(gain(item)),
                factor(contenders.get(CONTROL, {}).get("gain")),
                ms(item["limit"]),
                percent(closed(item), "at limit"),
                ms(item[PHYSICAL]),
                percent(closed(item, PHYSICAL), NONE if item[PHYSICAL] is None else "at limit"),
                error(contenders.get(INT8, {}).get("largestError")),
            ]
        )
    header = (
        "model",
        "default ms",
        "1 thread",
        "parallel",
        "OpenVINO",
        "int8",
        "plan",
        "",
        "gain",
        "default again",
        "limit ms",
        "gap closed",
        "physical ms",
        "gap closed",
        "int8's error",
    )
    return table(header, rows)


def _speeds(speeds: Data) -> str:
    if "absent" in speeds:
        return f"They were not measured, and there is no physical limit: {speeds['absent']}."
    rows = [_rates("float32 operations", speeds["flopsPerSecond"])]
    for read in speeds["reads"]:
        size = read["bytes"]
        shown = f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"
        rows.append(_rates(f"bytes, of {shown} a core", read["bytesPerSecond"]))
    return table(("thousand millions a second", "one core", "all together"), rows)


def _rates(what: str, found: Mapping[str, float]) -> list[str]:
    return [what, *(f"{found[cores] / 1e9:.0f}" for cores in ("oneCore", "allCores"))]


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
