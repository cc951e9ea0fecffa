"""Download one file: bounded while it streams, resumed where it broke off, tried again with back-off."""

import asyncio
import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from chrion_runtime.fetch.errors import ModelTooLarge, Unreachable
from chrion_runtime.fetch.source import Source, Stream

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


async def download(source: Source, target: Path, most: int, patience: Patience) -> int:
    """Write a source's bytes to a file; how many there are. Raises FetchError, ModelTooLarge beyond `most` bytes."""
    tag, failures, reached = "", 0, 0
    with target.open("wb") as file:
        while True:
            try:
                async with source.open(file.tell(), tag) as stream:
                    tag = stream.tag
                    await _copy(stream, file, most, source)
                break
            except Unreachable as error:
                if file.tell() > reached + _HEADWAY:
                    failures = 0
                failures, reached = failures + 1, max(reached, file.tell())
                if failures > patience.retries:
                    raise
                await asyncio.sleep(max(patience.pause(failures), min(error.after, patience.longest)))
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


async def _copy(stream: Stream, file: IO[bytes], most: int, source: Source) -> None:
    file.seek(stream.start)
    file.truncate()
    done = stream.start
    _check(stream.size or 0, most, source)
    async for chunk in stream.chunks:
        done += len(chunk)
        _check(done, most, source)
        file.write(chunk)
    if stream.size is not None and done != stream.size:
        raise Unreachable(f"{source}: ended after {done:,} of {stream.size:,} bytes")


def _check(size: int, most: int, source: Source) -> None:
    if size > most:
        raise ModelTooLarge(
            f"{source}: has more than the {most:,} bytes that the model may still take; raise --max-bytes "
            "(CHRION_MAX_MODEL_BYTES)"
        )
