"""How far planning is: what is being done, named by the step that it belongs to, and the part of all that is behind."""

from collections.abc import Callable

Progress = Callable[[str, float], None]
"""Told `STEP: what is being done`, and a part from 0 to 1."""


def silent(*_: object) -> None:
    """For progress and warnings that nobody wants to know of."""


def step(progress: Progress, start: float, end: float, name: str = "") -> Progress:
    """Progress of one step, from 0 to 1, as that of all, in which it lasts from `start` to `end`.

    It never goes back: what is done again was behind already.
    """
    behind = 0.0

    def tell(what: str, done: float) -> None:
        nonlocal behind
        behind = max(behind, done)
        progress(f"{name}: {what}" if name else what, start + (end - start) * behind)

    return tell
