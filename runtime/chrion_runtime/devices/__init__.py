"""The devices of this machine, by name: `cpu`, `cuda:N`, and `emulated:N` for tests."""

from collections.abc import Callable, Sequence

from chrion_api import HOST
from chrion_runtime.devices.cpu import Cpu
from chrion_runtime.devices.cuda import Cuda
from chrion_runtime.devices.device import BoundSession, Device, Value, stoppable
from chrion_runtime.devices.emulated import Emulated
from chrion_runtime.errors import DeviceUnavailable

__all__ = ["HOST", "BoundSession", "Device", "Value", "default_devices", "open_devices", "stoppable"]

_KINDS: dict[str, Callable[[str, int], Device]] = {
    "cuda": Cuda,
    "emulated": Emulated,
}


def open_devices(names: Sequence[str], cpu_lanes: int = 0) -> dict[str, Device]:
    """The named devices, the CPU always first among them: requests arrive there.

    Raises DeviceUnavailable for a name that is unknown and for a device that is not there.
    """
    found: dict[str, Device] = {HOST: Cpu(cpu_lanes)}
    for name in names:
        kind, _, index = name.partition(":")
        if name == HOST:
            continue
        if kind not in _KINDS or not index.isdecimal():
            raise DeviceUnavailable(f'"{name}" is not a device; devices are cpu and cuda:0, cuda:1, …')
        found[name] = _KINDS[kind](name, int(index))
    return found


def default_devices(cpu_lanes: int = 0) -> dict[str, Device]:
    """The CPU, and the first GPU where there is one that can be used."""
    try:
        return open_devices(["cuda:0"], cpu_lanes)
    except DeviceUnavailable:
        return open_devices([], cpu_lanes)
