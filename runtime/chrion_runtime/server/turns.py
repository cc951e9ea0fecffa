"""Lines of requests, one for each sequence: the first in a line runs, and no thread waits with the others."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from chrion_runtime.protocol.errors import QueueFull


class Turns:
    """Takes turns by key on one event loop, in the order of asking; at most `limit` wait, over all keys."""

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit
        self._lines: dict[Hashable, deque[asyncio.Future[None]]] = {}
        """Who waits, for each key that somebody has."""
        self.waiting = 0

    @asynccontextmanager
    async def turn(self, key: Hashable) -> AsyncIterator[None]:
        """Have the key alone inside the block. Raises QueueFull when too many wait already."""
        line = self._lines.get(key)
        if line is None:
            self._lines[key] = deque()
        else:
            await self._wait(key, line)
        try:
            yield
        finally:
            self._pass_on(key)

    async def _wait(self, key: Hashable, line: "deque[asyncio.Future[None]]") -> None:
        if self.waiting >= self._limit:
            raise QueueFull(f'model "{self._name}" has {self._limit} requests waiting already: try again later')
        door = asyncio.get_running_loop().create_future()
        line.append(door)
        self.waiting += 1
        try:
            await door
        except asyncio.CancelledError:
            if door.cancelled():
                line.remove(door)
            else:
                # Let in, and gone before it could go in.
                self._pass_on(key)
            raise
        finally:
            self.waiting -= 1

    def _pass_on(self, key: Hashable) -> None:
        line = self._lines[key]
        if line:
            line.popleft().set_result(None)
        else:
            del self._lines[key]
