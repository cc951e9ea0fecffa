"""How many bytes the bodies of all requests in flight hold, and may hold."""

from collections.abc import Iterator
from contextlib import contextmanager

from chrion_runtime.serve.protocol.errors import TooMuch


class BodyBudget:
    """Counts the bytes of bodies as they come in, not as they are announced: what is announced costs nothing yet."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.held = 0
        """Bytes that are held now."""

    def take(self, size: int) -> None:
        """Hold that many more. Raises TooMuch, and then holds none of them."""
        if self.held + size > self._limit:
            raise TooMuch(self._limit)
        self.held += size

    def give(self, size: int) -> None:
        """Hold that many less."""
        self.held -= size

    @contextmanager
    def share(self) -> Iterator["Share"]:
        """What one request holds, given back at the end of the block."""
        share = Share(self)
        try:
            yield share
        finally:
            self.give(share.held)


class Share:
    """One request's part of a budget."""

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self.held = 0

    def take(self, size: int) -> None:
        """Hold that many more. Raises TooMuch."""
        self._budget.take(size)
        self.held += size
