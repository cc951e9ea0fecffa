"""What the results say of a core that is taken away: aims, and a table a model."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chrion_bench.aims import Aim
from chrion_bench.contenders import DEFAULT
from chrion_bench.side_bench import origin
from chrion_bench.stolen.kernels import BY_PIECES, BY_UNITS, ONE_LANE
from chrion_bench.tables import NONE, factor, ms, table

Data = Mapping[str, Any]

QUARTER, ALL = 0.25, 1.0
SHARES = (0.0, QUARTER, ALL)
"""Parts of a core's time that are taken."""
NO_WORSE, WITHIN = 1.0, 1.15
"""How many times as long two lanes may take as what they are held to."""


def aims(results: Sequence[Data]) -> list[Aim]:
    """What runs on two lanes are held to while one of the cores is taken."""
    quarter = "a quarter of a core taken: p99 on two lanes no worse than ONNX Runtime's default"
    good = f"a core taken for good: mean on two lanes within {WITHIN - 1:.0%} of one lane's"
    return [
        _aim(quarter, _ratios(results, QUARTER, "p99", DEFAULT), NO_WORSE),
        _aim(good, _ratios(results, ALL, "mean", ONE_LANE), WITHIN),
    ]


def _aim(text: str, ratios: Mapping[str, float], most: float) -> Aim:
    if not ratios:
        return Aim(text, NONE, None)
    met = sum(ratio <= most for ratio in ratios.values())
    worst = max(ratios, key=lambda name: ratios[name])
    return Aim(text, f"{met} of {len(ratios)}; the worst takes {factor(ratios[worst])}, {worst}", met == len(ratios))


def _ratios(results: Sequence[Data], share: float, figure: str, over: str) -> dict[str, float]:
    """How many times as long each way on two lanes takes as `over` does beside it."""
    found = {}
    for item in results:
        base = item["contenders"][over]
        if item["share"] == share and "absent" not in base:
            for name in (BY_UNITS, BY_PIECES):
                ours = item["contenders"][name]
                ratio = float("inf") if "absent" in ours else ours[figure] / base[figure]
                found[f"{item['model']} {name}"] = ratio
    return found


def page(report: Data) -> str:
    """The whole report as Markdown."""
    machine, results = report["machine"], report["results"]
    parts = [
        f"# A core taken away, {machine['cpu']}, {machine['cores']} cores",
        f"{origin(report)} Core {report['core']} is the one that is taken. How to read it: "
        "[docs/benchmarks.md](../../docs/benchmarks.md#a-core-taken-away).",
        f"**No core was taken: {report['refused']}.**" if report["refused"] else "",
        "## Aims\n\n" + table(("aim", "reached", ""), ([one.text, one.value, one.verdict] for one in aims(results))),
        *_models(results),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _models(results: Sequence[Data]) -> Iterator[str]:
    for model in dict.fromkeys(item["model"] for item in results):
        items = [item for item in results if item["model"] == model]
        columns = (f"{item['share']:.0%} taken: {figure}" for item in items for figure in ("mean", "median", "p99"))
        rows = [
            [name, *(cell for item in items for cell in _cells(item["contenders"][name]))]
            for name in items[0]["contenders"]
        ]
        taken = ", ".join(f"{item['taken']:.1%}" for item in items)
        absent = [
            f"{name} is absent at {item['share']:.0%}: {found['absent']}."
            for item in items
            for name, found in item["contenders"].items()
            if "absent" in found
        ]
        yield f"## {model}\n\n" + table(("milliseconds", *columns), rows)
        yield f"Taken in fact: {taken}. " + " ".join(absent)


def _cells(found: Data) -> list[str]:
    return [ms(found.get(figure)) for figure in ("mean", "p50", "p99")]
