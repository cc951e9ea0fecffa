"""What the results are held to on CPUs, and what was reached of it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import geometric_mean

from chrion_bench.results import Data, gain, noise
from chrion_bench.suite import REAL, UNROLLED
from chrion_bench.tables import factor

LEAST_GAIN = 0.97
"""No model may be slower than this beside the default session."""


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


def aims(results: Sequence[Data]) -> list[Aim]:
    """The aims on CPUs, and what was reached of them."""
    return [*(_mean(results, *aim) for aim in _MEANS), _least(results)]


def _mean(results: Sequence[Data], what: str, least: float, counts: Callable[[Data], bool]) -> Aim:
    gains = [gain(item) or 0.0 for item in results if counts(item)]
    mean = geometric_mean(gains) if gains else None
    return Aim(f"{what}: at least ×{least:g}", factor(mean), None if mean is None else mean >= least)


def _least(results: Sequence[Data]) -> Aim:
    gains = [gain(item) or 0.0 for item in results]
    below = sum(value < LEAST_GAIN for value in gains)
    beyond = sum(value < min(LEAST_GAIN, noise(item)) for value, item in zip(gains, results, strict=True))
    return Aim(
        f"no model below ×{LEAST_GAIN:g} beyond what its control shows",
        f"{beyond} of {len(gains)}, {below - beyond} more excused; the least {factor(min(gains, default=None))}",
        None if not gains else not beyond,
    )


def _is_stack(item: Data, *kinds: str) -> bool:
    return item["family"].partition("-")[0] in kinds


_MEANS: Sequence[tuple[str, float, Callable[[Data], bool]]] = (
    ("LSTM layers", 1.5, lambda item: _is_stack(item, "lstm")),
    ("GRU layers", 2.2, lambda item: _is_stack(item, "gru")),
    ("RNN layers", 4.0, lambda item: _is_stack(item, "rnn")),
    ("all whole layers", 2.1, lambda item: item["family"] not in (REAL, UNROLLED)),
    (
        "LSTM and GRU layers at batch 1",
        1.9,
        lambda item: _is_stack(item, "lstm", "gru") and bool(re.search(r"-b1(-|$)", item["model"])),
    ),
    ("unrolled cells", 4.5, lambda item: item["family"] == UNROLLED),
    ("NSNet2 at 50 frames", 1.25, lambda item: item["model"] == "nsnet2-f50"),
    ("NSNet2 at 200 frames", 1.25, lambda item: item["model"] == "nsnet2-f200"),
    ("Silero", 1.2, lambda item: item["model"] == "silero_vad"),
)
"""What is measured, the least geometric mean of gains over the default session, and which models count."""
