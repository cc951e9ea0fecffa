"""Download one file: bounded while it streams, resumed where it broke off, tried again with back-off."""

import os
from pathlib import Path
from typing import IO

from chrion_runtime.fetch.errors import ModelTooLarge, Unreachable
from chrion_runtime.fetch.patience import Patience, Tries
from chrion_runtime.fetch.source import Source, Stream


async def download(source: Source, target: Path, most: int, patience: Patience) -> int:
    """Write a source's bytes to a file; how many there are. Raises FetchError, ModelTooLarge beyond `most` bytes."""
    tag, tries = "", Tries(patience)
    with target.open("wb") as file:
        while True:
            try:
                async with source.open(file.tell(), tag) as stream:
                    tag = stream.tag
                    await _copy(stream, file, most, source)
                break
            except Unreachable as error:
                await tries.wait(error, file.tell())
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


def check_size(size: int, most: int, source: Source) -> None:
    """Raises ModelTooLarge for more than `most` bytes, which are what is left of the model's."""
    if size > most:
        raise ModelTooLarge(
            f"{source}: has more than the {most:,} bytes that the model may still take; raise --max-bytes "
            "(CHRION_MAX_MODEL_BYTES)"
        )


async def _copy(stream: Stream, file: IO[bytes], most: int, source: Source) -> None:
    file.seek(stream.start)
    file.truncate()
    done = stream.start
    check_size(stream.size or 0, most, source)
    async for chunk in stream.chunks:
        done += len(chunk)
        check_size(done, most, source)
        file.write(chunk)
    if stream.size is not None and done != stream.size:
        raise Unreachable(f"{source}: ended after {done:,} of {stream.size:,} bytes")
