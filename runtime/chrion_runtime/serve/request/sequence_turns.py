"""Lines of requests, one for each sequence: the first in a line runs, and no thread waits with the others."""

import asyncio
from collections import deque
from collections.abc import Hashable
from contextlib import suppress


class SequenceTurns:
    """Takes turns by key on one event loop, in the order of asking."""

    def __init__(self) -> None:
        self._lines: dict[Hashable, deque[asyncio.Future[None]]] = {}
        """Who waits for each key that is taken."""

    def taken(self, key: Hashable) -> bool:
        """Whether the key is taken."""
        return key in self._lines

    async def take(self, key: Hashable) -> None:
        """Wait for the key, and have it alone until `leave`."""
        line = self._lines.get(key)
        if line is None:
            self._lines[key] = deque()
        else:
            await self._wait(key, line)

    def leave(self, key: Hashable) -> None:
        """Give the key to the one who has waited longest."""
        line = self._lines[key]
        while line:
            door = line.popleft()
            if not door.done():  # else who waited there has gone, and not been told yet
                door.set_result(None)
                return
        del self._lines[key]

    async def _wait(self, key: Hashable, line: "deque[asyncio.Future[None]]") -> None:
        door = asyncio.get_running_loop().create_future()
        line.append(door)
        try:
            await door
        except asyncio.CancelledError:
            if door.cancelled():
                with suppress(ValueError):  # `leave` may have come first
                    line.remove(door)
            else:
                # Let in, and gone before it could go in.
                self.leave(key)
            raise
