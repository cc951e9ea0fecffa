"""Where values live: tensors, and what a memory can do with them. The host's own memory is here too."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from chrion_api import HOST, GpuBytes, GpuBytesFrom
from chrion_runtime.servable import Array


class Tensor(Protocol):
    """A value in some memory. On the host it is a numpy array, or what an engine keeps in a layout of its own and
    `numpy.asarray` can read."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of its axes."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its elements."""

    @property
    def nbytes(self) -> int:
        """Bytes of its elements."""


class HostTensor:
    """A host array, contiguous and writeable, that is bound again and again."""

    __slots__ = ("__weakref__", "array", "bound")

    def __init__(self, array: Array) -> None:
        self.array = array
        self.bound: object = None
        """What an engine has made of it to bind it, kept so that it is made once."""

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    @property
    def nbytes(self) -> int:
        return self.array.nbytes

    def __array__(self, dtype: np.dtype[Any] | None = None, copy: bool | None = None) -> Array:
        return self.array if dtype is None and not copy else np.array(self.array, dtype, copy=copy)


class Memory(ABC):
    """One memory. Values move without a copy between devices of the same one."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def on_host(self) -> bool:
        """Whether requests arrive and answers leave here."""
        return self.name == HOST

    @abstractmethod
    def put(self, array: Array) -> Tensor:
        """A copy, or on the host the array itself, of a host array."""

    @abstractmethod
    def get(self, tensor: Tensor) -> Array:
        """A host array of a tensor; on the host a view, that lives no longer than the tensor."""

    @abstractmethod
    def allocate(self, dtype: np.dtype[Any], shape: Sequence[int]) -> Tensor:
        """An uninitialised tensor, to be used again and again."""

    def host(self, dtype: np.dtype[Any], shape: Sequence[int]) -> Array:
        """An uninitialised array on the host that is quickly copied from and to here, to be used again."""
        return np.empty(shape, dtype)

    @abstractmethod
    def write(self, tensor: Tensor, array: Array) -> None:
        """Copy a host array into a tensor of its type and shape; complete when this returns."""

    @abstractmethod
    def read(self, tensor: Tensor, array: Array) -> None:
        """Copy a tensor into a host array; complete when this returns."""

    @abstractmethod
    def copy(self, source: Tensor, target: Tensor) -> None:
        """Copy one tensor into another of its type and shape; complete when this returns."""

    def adopt(self, array: Array) -> Tensor:
        """An array that a kernel has made in this memory, where the host addresses it, as a tensor of it."""
        return array

    def charge(self, kernel: object, nbytes: int) -> None:
        """Count the weights of a kernel for as long as it lives, where the memory cannot tell by itself."""
        del kernel, nbytes

    @cached_property
    def context_bytes(self) -> int:
        """Bytes that a process takes before it loads anything."""
        return 0

    @cached_property
    def total_bytes(self) -> int | None:
        """Bytes in all; None where that cannot be told, and for the host's."""
        return None

    def free_bytes(self) -> int | None:
        """Bytes that nobody takes now; None where that cannot be told, and for the host's."""
        return None

    def used(self) -> GpuBytes | None:
        """Bytes that this process takes now; None where that cannot be told."""
        return None

    @property
    def used_from(self) -> GpuBytesFrom:
        """How `used` is told."""
        return GpuBytesFrom.PROCESS


class HostMemory(Memory):
    """The memory where requests arrive and answers leave."""

    def __init__(self) -> None:
        super().__init__(HOST)

    def put(self, array: Array) -> Array:
        return array

    def get(self, tensor: Tensor) -> Array:
        return _array(tensor)

    def allocate(self, dtype: np.dtype[Any], shape: Sequence[int]) -> HostTensor:
        return HostTensor(np.zeros(shape, dtype))

    def write(self, tensor: Tensor, array: Array) -> None:
        copy_into(_array(tensor), array)

    def read(self, tensor: Tensor, array: Array) -> None:
        np.copyto(array, _array(tensor))

    def copy(self, source: Tensor, target: Tensor) -> None:
        np.copyto(_array(target), _array(source))


def _array(tensor: Tensor) -> Array:
    """The elements of a tensor on the host; NumPy would take its time over what is bound."""
    return tensor.array if type(tensor) is HostTensor else np.asarray(tensor)


def copy_into(target: Array, source: Array) -> None:
    """Copy elements. Raises ValueError, TypeError where shapes or types differ: numpy would repeat and round them."""
    if target.shape != source.shape:
        raise ValueError(f"a value of shape {source.shape} goes where {target.shape} is")
    np.copyto(target, source, casting="no")
