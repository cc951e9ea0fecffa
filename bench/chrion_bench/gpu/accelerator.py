"""What is measured: a CUDA GPU, or, for a dry run, an emulated accelerator with plain CPU sessions in its place."""

import ctypes
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import onnxruntime as ort

from chrion_runtime.devices import open_devices
from chrion_runtime.engines import key_of
from chrion_runtime.engines.onnxruntime.cuda.options import USE_TF32, provider
from chrion_runtime.engines.onnxruntime.cuda.probe import PROVIDER as CUDA_PROVIDER

TENSORRT_PROVIDER = "TensorrtExecutionProvider"
_TENSORRT_LIBRARY = "libnvinfer.so.10"

Providers = tuple[tuple[str, Mapping[str, str]], ...]
"""Execution providers in the order of preference, with their options."""


@dataclass(frozen=True)
class Accelerator:
    """The device, and how a plain session of ONNX Runtime is placed on it."""

    device: str
    """Its name among Chrion's devices."""
    provider: str
    memory: str
    """The memory that a session's values are bound in, as ONNX Runtime calls it."""
    options: Mapping[str, str] = field(default_factory=dict)
    threads: int = 0
    """Of its sessions; 0 is ONNX Runtime's default."""

    @property
    def index(self) -> int:
        """Its number among its kind."""
        return int(self.device.partition(":")[2])

    @property
    def is_cuda(self) -> bool:
        """Whether it is a GPU, and no stand-in."""
        return self.provider == CUDA_PROVIDER

    def providers(self, **more: str) -> Providers:
        """Its provider with some more options, before the CPU's."""
        own = (self.provider, {**self.options, **more} if self.is_cuda else {})
        return (own, ("CPUExecutionProvider", {})) if self.is_cuda else (own,)


GPU = Accelerator("cuda:0", CUDA_PROVIDER, "cuda", provider(0)[1])
STAND_IN = Accelerator("emulated:0", "CPUExecutionProvider", "cpu", threads=1)


def same_precision() -> None:
    """Let no library round to TF32 where the runtime's setting says so: TensorRT's provider has no option for it.

    For this process and those that it starts.
    """
    if not USE_TF32:
        os.environ["NVIDIA_TF32_OVERRIDE"] = "0"


def probe(device: str, cpu_lanes: int) -> dict[str, Any]:
    """What there is to measure on, as JSON data; in a process of its own, for it takes the GPU's memory.

    Raises DeviceUnavailable where the device cannot be used.
    """
    devices = open_devices([device], cpu_lanes)
    found = devices[device]
    key, memory = key_of(found), found.memory
    return {
        "device": device,
        "product": key.product,
        "driver": key.driver,
        "multiprocessors": key.cores,
        "lanes": len(found.lanes),
        "cpuLanes": len(devices["cpu"].lanes),
        "totalBytes": memory.total_bytes,
        "freeBytes": memory.free_bytes(),
        "contextBytes": memory.context_bytes,
        "bytesFrom": memory.used_from.value,
        "tf32": USE_TF32,
        "providers": ort.get_available_providers(),
        "tensorrt": no_tensorrt() or "present",
        "libraries": {
            name: package.version
            for package in distributions()
            if (name := (package.metadata["Name"] or "").lower()).startswith(("nvidia-cu", "nvidia-ml", "tensorrt"))
        },
    }


def no_tensorrt() -> str:
    """Why TensorRT's provider cannot be measured; empty where it can."""
    if TENSORRT_PROVIDER not in ort.get_available_providers():
        return "this ONNX Runtime has no TensorRT provider"
    library = Path(ort.__file__).parent / "capi" / "libonnxruntime_providers_tensorrt.so"
    if not library.exists():
        return f"{library.name} is not installed with this ONNX Runtime"
    try:
        ctypes.CDLL(_TENSORRT_LIBRARY)
    except OSError as error:
        return f"TensorRT is not installed: {error}"
    return ""
