"""A piece of memory that two processes share; who gets one checks that the other cannot take it away."""

import fcntl
import mmap
import os
from math import prod
from typing import Any

import numpy as np

from chrion_runtime.servable import Array

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
"""A file that shrinks under a mapping would end the process that reads it (memfd_create(2), "File sealing")."""
_KINDS = "biuf"
"""Kinds of element types that may stand in shared memory."""


class Region:
    """Shared memory of a fixed size, in bytes."""

    def __init__(self, fd: int) -> None:
        """Map a file that was made by `make`, here or in the other process; takes the descriptor. Raises ValueError."""
        try:
            if fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _SEALS != _SEALS:
                raise ValueError("the shared memory is not sealed")
            self.size = os.fstat(fd).st_size
            self._memory = mmap.mmap(fd, self.size)
            self.known: dict[bytes, tuple[Array, ...]] = {}
            """Tensors in it by what says where they are, for the same places come again and again."""
        finally:
            os.close(fd)

    @staticmethod
    def make(size: int) -> int:
        """The descriptor of new memory of so many bytes."""
        fd = os.memfd_create("chrion", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(fd, size)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
        return fd

    def array(self, dtype: str, shape: tuple[int, ...], offset: int) -> Array:
        """A view of a tensor in it. Raises ValueError where it is not within."""
        kind: np.dtype[Any] = np.dtype(dtype)
        if kind.kind not in _KINDS or min(shape, default=0) < 0 or offset < 0:
            raise ValueError(f"no tensor of {dtype} and shape {list(shape)} can be there")
        if offset + prod(shape) * kind.itemsize > self.size:
            raise ValueError(f"a tensor of {dtype} and shape {list(shape)} is not within the shared memory")
        return np.ndarray(shape, kind, self._memory, offset)

    def write(self, data: bytes, offset: int) -> None:
        """Put bytes into it."""
        self._memory[offset : offset + len(data)] = data

    def read(self, offset: int, size: int) -> bytes:
        """Bytes of it; fewer where it ends before."""
        return self._memory[offset : offset + size]
