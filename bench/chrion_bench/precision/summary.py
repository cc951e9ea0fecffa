"""What the results say of rounded weights: aims, and a table a model."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import geometric_mean
from typing import Any

from chrion_api import WeightFormat
from chrion_bench.aims import Aim
from chrion_bench.contenders import DEFAULT, INT8
from chrion_bench.side_bench import origin
from chrion_bench.tables import NONE, error, factor, ms, table

Data = Mapping[str, Any]

PLANS = {weights: f"plan-{weights.lower()}" for weights in WeightFormat}
"""What the plans are called among the contenders, by what they may round weights to."""
_ROUNDED = PLANS[WeightFormat.INT8]

_AIMS: Mapping[str, tuple[float, str]] = {
    "LSTM of 512 units": (1.3, "lstm-forward-l1-h512-"),
    "GRU of 400 units": (2.0, "gru-forward-l1-h400-"),
    "GRU of 512 units": (2.0, "gru-forward-l1-h512-"),
    "two bidirectional LSTM layers of 256 units": (1.3, "lstm-bidirectional-l2-h256-"),
}
"""How many times as fast as the better of ONNX Runtime's two, and which models count."""


def aims(results: Sequence[Data]) -> list[Aim]:
    """What plans with weights of 8 bits are held to."""
    return [*(_gain(results, text, *aim) for text, aim in _AIMS.items()), _errors(results)]


def gain(item: Data, name: str) -> float | None:
    """How many times as fast a contender is as the better of ONNX Runtime's default and its model of 8 bits."""
    found = item["contenders"]
    theirs = [found[other]["gain"] for other in (DEFAULT, INT8) if "gain" in found[other]]
    return found[name]["gain"] / max(theirs) if theirs and "gain" in found[name] else None


def _gain(results: Sequence[Data], text: str, least: float, prefix: str) -> Aim:
    gains = [gain(item, _ROUNDED) or 0.0 for item in results if item["model"].startswith(prefix)]
    mean = geometric_mean(gains) if gains and all(gains) else 0.0 if gains else None
    return Aim(f"{text}: at least ×{least:g}", factor(mean), None if mean is None else mean >= least)


def _errors(results: Sequence[Data]) -> Aim:
    pairs = [(item["contenders"][_ROUNDED].get("error"), item["contenders"][INT8].get("error")) for item in results]
    known = [(ours, theirs) for ours, theirs in pairs if ours is not None and theirs]
    met = sum(ours <= theirs for ours, theirs in known)
    # ONNX Runtime quantises LSTM, and leaves GRU and RNN as they are.
    return Aim(
        "errors of 8 bits not above those of ONNX Runtime's",
        f"{met} of {len(known)}" if known else NONE,
        met == len(known) if known else None,
    )


def page(report: Data) -> str:
    """The whole report as Markdown."""
    machine, results = report["machine"], report["results"]
    parts = [
        f"# Rounded weights, {machine['cpu']}, {machine['cores']} cores",
        f"{origin(report)} How to read it: [docs/benchmarks.md](../../docs/benchmarks.md#rounded-weights).",
        "## Aims\n\n" + table(("aim", "reached", ""), ([one.text, one.value, one.verdict] for one in aims(results))),
        *_models(results),
    ]
    return "\n\n".join(parts) + "\n"


def _models(results: Sequence[Data]) -> Iterator[str]:
    for item in results:
        rows = [
            [
                name,
                found.get("plan", NONE),
                ms(found.get("p50")),
                ms(found.get("p99")),
                factor(found.get("gain")),
                factor(gain(item, name)),
                error(found.get("error")),
                error(found.get("stated")),
            ]
            for name, found in item["contenders"].items()
        ]
        header = ("milliseconds", "by", "median", "p99", "over the default", "over the better", "error", "stated")
        yield f"## {item['model']}\n\n" + table(header, rows)
