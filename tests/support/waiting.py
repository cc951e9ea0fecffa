"""Waiting for what happens elsewhere: an event or a generous deadline, never a sleep of a guessed length."""

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

Answer = TypeVar("Answer")

DEADLINE = 120.0
"""Seconds that waiting may take by default."""


def wait_until(
    probe: Callable[[], Answer],
    what: str = "what is waited for",
    deadline: float = DEADLINE,
    ignore: type[Exception] | tuple[type[Exception], ...] = (),
) -> Answer:
    """What `probe` answers once that is true; the test fails, saying that `what` did not happen, after `deadline` s.

    Exceptions of the types `ignore` count as an answer that is not true.
    """
    ends, pause = time.monotonic() + deadline, 0.001
    while True:
        last: object
        try:
            answer = probe()
            if answer:
                return answer
            last = answer
        except ignore as error:
            last = error
        if time.monotonic() > ends:
            pytest.fail(f"not within {deadline:.0f} s: {what}; last seen: {last!r}")
        time.sleep(pause)
        pause = min(2 * pause, 0.1)
