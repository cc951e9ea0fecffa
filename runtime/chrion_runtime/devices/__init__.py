"""The devices of this machine, by name: `cpu`, `cuda:N`, and `emulated:N` for tests."""

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import cast

from chrion_api import HOST
from chrion_runtime.devices.cpu import Cpu
from chrion_runtime.devices.device import ACCELERATOR, Device, Traits
from chrion_runtime.devices.memory import HostTensor, Memory, Tensor
from chrion_runtime.errors import DeviceUnavailable

__all__ = [
    "HOST",
    "Device",
    "HostTensor",
    "Memory",
    "Tensor",
    "Traits",
    "default_devices",
    "open_devices",
    "traits_of",
]


_KINDS = {
    "cuda": "chrion_runtime.engines.onnxruntime.cuda.device:Cuda",
    "emulated": "chrion_runtime.devices.emulated:Emulated",
}
"""The class of each kind of device; its module is imported when one is asked for."""


def open_devices(names: Sequence[str], cpu_lanes: int = 0) -> dict[str, Device]:
    """The named devices, the CPU always first among them: requests arrive there.

    Raises DeviceUnavailable for a name that is unknown and for a device that is not there.
    """
    found: dict[str, Device] = {HOST: Cpu(cpu_lanes)}
    for name in names:
        if name != HOST:
            kind, _, index = name.partition(":")
            if kind not in _KINDS or not index.isdecimal():
                raise DeviceUnavailable(f'"{name}" is not a device; devices are cpu and cuda:0, cuda:1, …')
            found[name] = _kind(kind).open(name, int(index))
    return found


def default_devices(cpu_lanes: int = 0) -> dict[str, Device]:
    """The CPU, and the first GPU where there is one that can be used."""
    try:
        return open_devices(["cuda:0"], cpu_lanes)
    except DeviceUnavailable:
        return open_devices([], cpu_lanes)


def traits_of(name: str) -> Traits:
    """The traits of a device, which need not be here; of one that nobody knows, those of an accelerator."""
    kind = name.partition(":")[0]
    return Cpu.traits if name == HOST else _kind(kind).traits if kind in _KINDS else ACCELERATOR


@cache
def _kind(name: str) -> type[Device]:
    module, _, found = _KINDS[name].partition(":")
    return cast("type[Device]", getattr(import_module(module), found))
