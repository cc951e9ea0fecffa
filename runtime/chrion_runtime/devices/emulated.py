"""An emulated accelerator, for tests: a CPU core behind a memory of its own, with real copies in and out.

It exists so that memory mode, frontiers and transfers run for real on a machine with no GPU. It is never chosen by
default and says what it is in every device key.
"""

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chrion_api import DeviceKey, GpuBytes
from chrion_runtime.devices.cpu import product
from chrion_runtime.devices.device import Device, Traits
from chrion_runtime.devices.memory import HostTensor, Memory, Tensor, copy_into
from chrion_runtime.servable import Array


class Emulated(Device):
    """Lanes of one thread each; every byte that is put into its memory is copied and counted.

    As on a GPU there are two lanes with kernels of their own, and stages may be captured: what is captured here is
    kept to its thread and its values, though nothing is faster by it.
    """

    traits = Traits(shares_kernels=False, threads=False, crowds=True, captures=True)
    memory: "EmulatedMemory"

    def __init__(self, name: str, index: int) -> None:
        super().__init__(name, EmulatedMemory(name), 2)
        self._index = index

    @classmethod
    def open(cls, name: str, index: int) -> "Emulated":
        return cls(name, index)

    def key(self, engines: Mapping[str, str]) -> DeviceKey:
        return DeviceKey(product=f"emulated accelerator {self._index} on {product()}", cores=1, engines=dict(engines))


class EmulatedMemory(Memory):
    """Host memory that counts what is put there."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        # What lives, by a token each: unlike a sum, safe to change from any thread and from the garbage collector.
        self._weights: dict[object, int] = {}
        self._activations: dict[object, int] = {}

    def charge(self, kernel: object, nbytes: int) -> None:
        _count(self._weights, kernel, nbytes)

    def adopt(self, array: Array) -> Array:
        _count(self._activations, array, array.nbytes)
        return array

    def put(self, array: Array) -> Array:
        return self.adopt(np.array(array, order="C"))

    def get(self, tensor: Tensor) -> Array:
        return np.array(tensor, order="C")

    def allocate(self, dtype: np.dtype[Any], shape: Sequence[int]) -> HostTensor:
        return HostTensor(self.adopt(np.zeros(shape, dtype)))

    def write(self, tensor: Tensor, array: Array) -> None:
        copy_into(np.asarray(tensor), array)

    def read(self, tensor: Tensor, array: Array) -> None:
        copy_into(array, np.asarray(tensor))

    def copy(self, source: Tensor, target: Tensor) -> None:
        copy_into(np.asarray(target), np.asarray(source))

    def used(self) -> GpuBytes:
        return GpuBytes(weights=sum(list(self._weights.values())), activations=sum(list(self._activations.values())))


def _count(ledger: dict[object, int], owner: object, nbytes: int) -> None:
    """Enter bytes into a ledger for as long as their owner lives."""
    token = object()
    ledger[token] = nbytes
    weakref.finalize(owner, ledger.pop, token)
