"""The few calls of the CUDA runtime that ONNX Runtime's Python has no word for: copies and pinned host memory."""

import ctypes
import threading
import weakref
from collections import defaultdict
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from chrion_runtime.servable import Array

_DEFAULT = 4
"""cudaMemcpyDefault: which way is told by the addresses."""
_PORTABLE = 1
"""cudaHostAllocPortable: pinned for every GPU."""
_PER_THREAD = ctypes.c_void_p(2)
"""cudaStreamPerThread: a stream of the calling thread's own, so that a lane's copies wait for no other lane's. ONNX
Runtime's streams do not block (cudaStreamNonBlocking), and so do not wait for it."""


class CudaError(Exception):
    """A call of the CUDA runtime failed."""


class Cudart:
    """Calls for one GPU; ctypes leaves the interpreter's lock while one is under way."""

    def __init__(self, cuda: int, index: int) -> None:
        """`cuda` is the major version. Raises OSError where the library cannot be loaded."""
        self._library = ctypes.CDLL(f"libcudart.so.{cuda}")
        self._library.cudaGetErrorString.restype = ctypes.c_char_p
        self._index = index
        self._free: defaultdict[int, list[int]] = defaultdict(list)
        self._guard = threading.Lock()

    def copy(self, target: int, source: int, nbytes: int) -> None:
        """Copy between two addresses, each on the GPU or the host; complete when this returns."""
        if not nbytes:
            return
        self._call("cudaSetDevice", ctypes.c_int(self._index))
        pointers = ctypes.c_void_p(target), ctypes.c_void_p(source)
        self._call("cudaMemcpyAsync", *pointers, ctypes.c_size_t(nbytes), ctypes.c_int(_DEFAULT), _PER_THREAD)
        self._call("cudaStreamSynchronize", _PER_THREAD)

    def free_bytes(self) -> int:
        """The GPU's memory that nobody takes now."""
        self._call("cudaSetDevice", ctypes.c_int(self._index))
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self._call("cudaMemGetInfo", ctypes.byref(free), ctypes.byref(total))
        return free.value

    def pinned(self, dtype: np.dtype[Any], shape: Sequence[int]) -> Array:
        """An uninitialised host array in pinned memory, which the GPU reads and writes by itself.

        Memory of arrays that are gone is used again and never given back: cudaFreeHost waits for the whole GPU, and
        would spoil a capture.
        """
        size = 1 << max(12, (prod(shape) * dtype.itemsize - 1).bit_length())  # 4096 bytes, a page, at least
        with self._guard:
            blocks = self._free[size]
            address = blocks.pop() if blocks else 0
        if not address:
            self._call("cudaSetDevice", ctypes.c_int(self._index))
            found = ctypes.c_void_p()
            self._call("cudaHostAlloc", ctypes.byref(found), ctypes.c_size_t(size), ctypes.c_uint(_PORTABLE))
            address = int(found.value or 0)
        memory = memoryview((ctypes.c_char * size).from_address(address))
        array = np.ndarray(tuple(shape), dtype, buffer=memory)
        # Views of the array keep it alive. Appending takes no lock, for the garbage collector may call it anywhere.
        weakref.finalize(array, blocks.append, address)
        return array

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code:
            said = self._library.cudaGetErrorString(code).decode()
            raise CudaError(f"{name}: CUDA failure {code}: {said}")
