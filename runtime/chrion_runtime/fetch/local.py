"""Files of this machine: inside the image, or in a volume that is mounted."""

import os
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from chrion_api.redact import shown
from chrion_runtime.fetch.errors import AccessDenied, FetchError, FetchRefused, ModelNotFound, Unreachable
from chrion_runtime.fetch.source import Stream

_CHUNK = 4 << 20


class LocalSource:
    """A file at a path; it is copied, for what reads it next may not have the volume."""

    def __init__(self, path: Path, folder: Path | None = None) -> None:
        """`folder`: where the file must lie once links are followed, as ConfigMaps and claims have them."""
        self._path = path
        self._folder = folder

    def sibling(self, name: str) -> "LocalSource":
        """The file of this name in the folder where this one really lies; a link must not lead out of it."""
        folder = self._path.resolve().parent
        return LocalSource(folder / name, folder)

    async def announced(self, names: Sequence[str]) -> int:
        """As `Source.announced`: nothing but opening them shows what links lead to."""
        del names
        return 0

    @asynccontextmanager
    async def open(self, start: int, tag: str) -> AsyncIterator[Stream]:
        """As `Source.open`."""
        del start, tag
        try:
            real = self._path.resolve(strict=True)
            if self._folder is not None and not real.is_relative_to(self._folder):
                raise FetchRefused(f"{self}: is a link that leads out of its folder")
            found = real.stat()
            if not stat.S_ISREG(found.st_mode):
                raise ModelNotFound(f"{self}: is not a plain file; name the ONNX file itself")
            file = real.open("rb")
        except OSError as error:
            raise self._failure(error) from None
        with file:
            if self._folder is not None and os.fstat(file.fileno()).st_nlink > 1:
                raise FetchRefused(f"{self}: is a hard link, which may lead out of its folder; put a copy there")
            yield Stream(0, found.st_size, "", self._chunks(file))

    async def _chunks(self, file: IO[bytes]) -> AsyncIterator[bytes]:
        try:
            while chunk := file.read(_CHUNK):
                yield chunk
        except OSError as error:
            raise self._failure(error) from None

    def _failure(self, error: OSError) -> FetchError:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            return ModelNotFound(f"{self}: is not there; file:// names a path inside the image or a mounted volume")
        if isinstance(error, PermissionError):
            return AccessDenied(f"{self}: may not be read by user {os.getuid()}")
        return Unreachable(f"{self}: cannot be read: {error.strerror or error}")

    def __str__(self) -> str:
        return shown(f"file://{self._path}")
