"""The engines that run stages, by name. A new one is a module with an ENGINE, and its line here."""

from functools import cache
from importlib import import_module
from typing import cast

from chrion_api import DeviceKey
from chrion_runtime.devices import Device
from chrion_runtime.engines.engine import Call, Engine, Kernel, KernelBytes, Ports, Site
from chrion_runtime.errors import PlanRefused

__all__ = [
    "ENGINES",
    "Call",
    "Engine",
    "Kernel",
    "KernelBytes",
    "Ports",
    "Site",
    "engine_named",
    "engines_on",
    "key_of",
]

ENGINES = {
    "onnxruntime": "chrion_runtime.engines.onnxruntime.engine",
    "openvino": "chrion_runtime.engines.openvino",
    "recurrent": "chrion_runtime.engines.recurrent.engine",
}
"""The module of each; it is imported when a stage needs it."""


@cache
def engine_named(name: str) -> Engine:
    """An engine, which may be one that cannot run here. Raises PlanRefused for a name that none has."""
    if name not in ENGINES:
        raise PlanRefused(
            f'unknown engine "{name}"; the engines are {", ".join(ENGINES)}: plan again, or serve with the version of '
            "Chrion that made the plan"
        )
    return cast("Engine", import_module(ENGINES[name]).ENGINE)


def key_of(device: Device) -> DeviceKey:
    """What measurements on a device hold for: the device, and the engines that can run there."""
    return device.key({name: engine_named(name).version for name in engines_on(device.name)})


def engines_on(device: str) -> list[str]:
    """The engines that can run on a device of this name here."""
    return [name for name in ENGINES if not engine_named(name).problem(device)]
