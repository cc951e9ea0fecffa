"""How many are under way, and word when none is."""

import asyncio


class InFlight:
    """Counts on one event loop what has begun and not ended."""

    def __init__(self) -> None:
        self.count = 0
        self._none: asyncio.Event | None = None

    def enter(self) -> None:
        """One has begun."""
        self.count += 1

    def leave(self) -> None:
        """One has ended."""
        self.count -= 1
        if self.count == 0 and self._none is not None:
            self._none.set()

    async def drained(self) -> None:
        """Wait until none is under way."""
        while self.count:
            self._none = asyncio.Event()
            await self._none.wait()
