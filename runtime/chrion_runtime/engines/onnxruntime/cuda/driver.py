"""The GPU's driver, asked directly: it can say what is wrong where ONNX Runtime only falls back to the CPU."""

import ctypes
from uuid import UUID

_MULTIPROCESSOR_COUNT = 16
"""CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT"""


class Driver:
    """libcuda; nothing here makes a context, which would take memory of the GPU."""

    def __init__(self) -> None:
        """Raises OSError where the library cannot be loaded."""
        self._library = ctypes.CDLL("libcuda.so.1")
        self.code: int = self._library.cuInit(0)
        """What cuInit returned; 0 where there is a GPU to use."""

    @property
    def version(self) -> int:
        """The CUDA version that the driver is made for, as major * 1000 + minor * 10."""
        found = ctypes.c_int()
        self._library.cuDriverGetVersion(ctypes.byref(found))
        return found.value

    @property
    def count(self) -> int:
        """GPUs that this process may use."""
        found = ctypes.c_int()
        self._library.cuDeviceGetCount(ctypes.byref(found))
        return found.value

    def product(self, index: int) -> str:
        """The GPU's product name."""
        name = ctypes.create_string_buffer(256)
        self._library.cuDeviceGetName(name, len(name), self._device(index))
        return name.value.decode()

    def multiprocessors(self, index: int) -> int:
        """The GPU's multiprocessors."""
        found = ctypes.c_int()
        self._library.cuDeviceGetAttribute(ctypes.byref(found), _MULTIPROCESSOR_COUNT, self._device(index))
        return found.value

    def total_bytes(self, index: int) -> int | None:
        """The GPU's memory; None where it cannot be told."""
        found = ctypes.c_size_t()
        return None if self._library.cuDeviceTotalMem_v2(ctypes.byref(found), self._device(index)) else found.value

    def uuid(self, index: int) -> UUID:
        """What names the GPU, or its MIG part, in other libraries: their order is not CUDA's."""
        found = ctypes.create_string_buffer(16)
        self._library.cuDeviceGetUuid_v2(found, self._device(index))
        return UUID(bytes=found.raw)

    def _device(self, index: int) -> ctypes.c_int:
        found = ctypes.c_int()
        self._library.cuDeviceGet(ctypes.byref(found), index)
        return found
