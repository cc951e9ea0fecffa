"""What a place that models are fetched from must do: one file of it, read from any byte on."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Stream:
    """The bytes of a file from one of them on."""

    start: int
    """The first byte's place in the file: as asked for, or 0 where the file is another one now."""
    size: int | None
    """Bytes of the whole file; None where that is not known."""
    tag: str
    """What changes with the file's content; empty where nothing does."""
    chunks: AsyncIterator[bytes]


class Source(Protocol):
    """One file of a store."""

    def sibling(self, name: str) -> "Source":
        """The file of this name, relative to this file's folder."""

    async def announced(self, names: Sequence[str]) -> int:
        """Bytes of the files of these names together, as far as the store tells before they are read.

        Raises ModelNotFound where it tells that one is missing, and other FetchErrors.
        """

    def open(self, start: int, tag: str) -> AbstractAsyncContextManager[Stream]:
        """Read from byte `start` on if the file still has `tag`, else from its beginning. Raises FetchError."""

    def __str__(self) -> str:
        """Its URI as errors show it, without secrets."""
