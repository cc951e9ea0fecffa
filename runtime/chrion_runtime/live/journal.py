"""The record of moves and refusals, for the log, the metrics and `/v2/models/{model}/plan`."""

import logging
from collections import Counter, deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from chrion_api.one_line import one_line
from chrion_runtime.servable import Figure

log = logging.getLogger(__name__)

KEPT = 20
"""Moves and refusals that are shown."""

MOST_LETTERS = 1000
"""Of why something was moved or refused."""

REASONS = ("plans", "objective", "faster", "smaller", "drain")
"""Why plans are exchanged: a new plan file; a new objective; the target is about to be missed; there is room for less
GPU memory; to make room on the GPU for the next ones."""

CAUSES = ("plans", "objective", "move")
"""What is refused: a plan file; an objective's file; a move along the ladder."""


class Journal:
    """The last moves and refusals of one model, and how many there were."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._moves: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._refusals: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._moved = Counter(dict.fromkeys(REASONS, 0))
        self._refused = Counter(dict.fromkeys(CAUSES, 0))

    def moved(self, source: str, target: str, reason: str, why: str, figures: Mapping[str, Any]) -> None:
        """Enter a move from one rung to another; `figures` are what was seen when it was decided."""
        self._moved[reason] += 1
        why = one_line(why, MOST_LETTERS)
        self._moves.append({"time": _now(), "from": source, "to": target, "reason": reason, "why": why, **figures})
        log.info("%s: plan %s -> %s (%s): %s", self._model, source, target, reason, why)

    def refused(self, cause: str, why: str) -> None:
        """Enter something that was refused; what served before serves on."""
        why = one_line(why, MOST_LETTERS)  # rubbish in a file may be quoted in it
        self._refused[cause] += 1
        self._refusals.append({"time": _now(), "cause": cause, "why": why})
        log.warning("%s: rejected (%s); still serving the previous plan: %s", self._model, cause, why)

    def to_data(self) -> dict[str, Any]:
        """The last moves and refusals, the newest first."""
        return {"moves": [*reversed(self._moves)], "refusals": [*reversed(self._refusals)]}

    def figures(self) -> list[Figure]:
        """The counts."""
        return [
            *(
                Figure("chrion_plan_switches", "counter", "Changes of plan", {"reason": reason}, count)
                for reason, count in self._moved.items()
            ),
            *(
                Figure("chrion_plan_refused", "counter", "Files and moves that were rejected", {"cause": cause}, count)
                for cause, count in self._refused.items()
            ),
        ]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
