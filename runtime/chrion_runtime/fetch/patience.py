"""How often what may pass is tried again, and after how long."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from chrion_runtime.fetch.errors import Unreachable

T = TypeVar("T")

_HEADWAY = 1 << 20
"""So many bytes more than at the last failure are worth as many tries as at first."""


@dataclass(frozen=True)
class Patience:
    """How often what may pass is tried again, and after how long; times in seconds."""

    retries: int = 6
    first: float = 0.5
    longest: float = 30.0

    def pause(self, failures: int) -> float:
        """How long to wait after so many failures: twice as long each time, a little less by chance."""
        return min(self.longest, self.first * 2.0 ** (failures - 1)) * random.uniform(0.75, 1)  # noqa: S311


class Tries:
    """The tries of one piece of work."""

    def __init__(self, patience: Patience) -> None:
        """None has failed."""
        self._patience = patience
        self._failures = 0
        self._reached = 0

    async def wait(self, error: Unreachable, reached: int = 0) -> None:
        """Wait after a failure at byte `reached`; raises the error where patience is at its end."""
        if reached > self._reached + _HEADWAY:
            self._failures = 0
        self._failures, self._reached = self._failures + 1, max(self._reached, reached)
        if self._failures > self._patience.retries:
            raise error
        await asyncio.sleep(max(self._patience.pause(self._failures), min(error.after, self._patience.longest)))


async def patiently(work: Callable[[], Awaitable[T]], patience: Patience) -> T:
    """What work yields that is done from its beginning at each try. Raises what it raises."""
    tries = Tries(patience)
    while True:
        try:
            return await work()
        except Unreachable as error:
            await tries.wait(error)
