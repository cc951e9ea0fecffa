"""What a device is: lanes, a memory, and traits that say how it differs from others. A new device is one new module."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from chrion_api import DeviceKey
from chrion_runtime.devices.memory import Memory


@dataclass(frozen=True)
class Traits:
    """How devices of one kind differ from others; known without opening one."""

    shares_kernels: bool = True
    """Whether all lanes run the same kernels; else each lane holds its own."""
    threads: bool = True
    """Whether several lanes can be the threads of one stage."""
    crowds: bool = False
    """Whether even small work slows what runs on the other lanes, since they share one set of compute units."""
    captures: bool = False
    """Whether stages can be captured once and replayed."""
    costly_launches: bool = False
    """Whether starting many small kernels takes longer than running them, so that capturing them saves much."""
    reserves_address_space: bool = False
    """Whether a process reserves far more address space than it uses, so that no limit can be set on that."""
    provider: str = ""
    """ONNX Runtime's execution provider for it; empty for devices that compute as the CPU does."""
    recurrent_copies: int = 1
    """How often the weights of recurrent nodes lie in the device's memory."""


ACCELERATOR = Traits(shares_kernels=False, threads=False, crowds=True)
"""Of a device with a memory of its own, of which no more is known."""


class Device(ABC):
    """One device of this machine."""

    traits: ClassVar[Traits] = Traits()

    def __init__(self, name: str, memory: Memory, lanes: int) -> None:
        """`name` is its name in plans, such as cpu or cuda:0."""
        self.name = name
        self.memory = memory
        self.lanes = tuple(f"{name}/{index}" for index in range(lanes))

    @classmethod
    @abstractmethod
    def open(cls, name: str, index: int) -> "Device":
        """The device of this kind with a number. Raises DeviceUnavailable, with the reason, where it is not there."""

    @abstractmethod
    def key(self, engines: Mapping[str, str]) -> DeviceKey:
        """What measurements on this device hold for, by engines of these versions."""
