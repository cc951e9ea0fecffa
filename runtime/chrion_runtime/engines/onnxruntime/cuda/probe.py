"""Whether a GPU can be used, and if not why: ONNX Runtime itself would silently run on the CPU instead."""

import contextlib
import ctypes
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace

import onnxruntime as ort

from chrion_graph.ort import brief
from chrion_runtime.engines.onnxruntime.cuda.driver import Driver
from chrion_runtime.engines.onnxruntime.failure import is_out_of_memory

PROVIDER = "CUDAExecutionProvider"

_NO_DEVICE = 100
"""CUDA_ERROR_NO_DEVICE"""
_MISMATCH = 803
"""CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"""
_INSTALL = "install chrion[gpu], which brings them"


@dataclass(frozen=True)
class Facts:
    """What there is for CUDA on this machine; what was not looked at is as if fine: something before it is wrong."""

    provider: bool = True
    """Whether this ONNX Runtime has the CUDA provider."""
    cuda: int = 0
    """The major version of CUDA that it was built for."""
    driver: str = ""
    """Why the driver's library cannot be loaded; empty where it was."""
    code: int = 0
    """What cuInit returned."""
    driver_version: int = 0
    """The CUDA version that the driver is made for, as major * 1000 + minor * 10."""
    devices: int = 0
    """GPUs that this process may use."""
    missing: tuple[str, ...] = ()
    """Libraries of CUDA and cuDNN that cannot be loaded, with their major versions."""
    others: tuple[str, ...] = ()
    """Those of them that are there in another major version."""


def look() -> Facts:
    """Look at this machine."""
    if PROVIDER not in ort.get_available_providers():
        return Facts(provider=False)
    major = cuda_major()
    try:
        driver = Driver()
    except OSError as error:
        return Facts(cuda=major, driver=str(error))
    facts = Facts(cuda=major, code=driver.code, driver_version=driver.version, devices=driver.count)
    if facts.code:
        return facts
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it misses, and goes on
        ort.preload_dlls()
    missing = tuple(name for name in libraries(major) if not _loads(name))
    others = tuple(other for name in missing for other in _neighbours(name) if _loads(other))
    return replace(facts, missing=missing, others=others)


def cuda_major() -> int:
    """The major version of CUDA that this ONNX Runtime was built for; 0 where it was built for none."""
    version = str(getattr(ort, "cuda_version", None) or "0")
    return int(version.partition(".")[0])


def libraries(cuda: int) -> tuple[str, ...]:
    """The libraries that the provider cannot do without; the numbers are NVIDIA's. Recurrent layers need cuDNN."""
    return (
        f"libcudart.so.{cuda}",
        f"libcublasLt.so.{cuda}",
        f"libcublas.so.{cuda}",
        "libcurand.so.10",
        "libcudnn.so.9",
    )


def problem(facts: Facts, index: int) -> str:
    """What keeps GPU number `index` from being used, and what to do; empty where nothing does."""
    if not facts.provider:
        return "onnxruntime-gpu is not installed; install chrion[gpu] instead of [cpu]"
    if facts.driver:
        return (
            f"there is no NVIDIA driver here ({facts.driver}); install it, or start the container with the GPU "
            "(docker run --gpus all; in a cluster NVIDIA's container toolkit and a pod that requests nvidia.com/gpu)"
        )
    if facts.driver_version and facts.driver_version < facts.cuda * 1000:
        return (
            f"the NVIDIA driver is for CUDA {_version(facts.driver_version)}, and onnxruntime-gpu needs CUDA "
            f"{facts.cuda}; install a newer driver"
        )
    if facts.code == _NO_DEVICE:
        return (
            "the NVIDIA driver finds no GPU; check nvidia-smi, whether CUDA_VISIBLE_DEVICES hides it, and "
            "whether the container was given one"
        )
    if facts.code == _MISMATCH:
        return "the NVIDIA driver's library and kernel module differ in version (cuInit: 803); restart the machine"
    if facts.code:
        return f"the NVIDIA driver does not start (cuInit: {facts.code}); check nvidia-smi and dmesg"
    if index >= facts.devices:
        last = f"cuda:{facts.devices - 1}"
        return f"there is no cuda:{index}, the last GPU is {last}; CUDA_VISIBLE_DEVICES may hide some"
    if facts.missing:
        there = f" (found {', '.join(facts.others)}, of another major version)" if facts.others else ""
        return f"{', '.join(facts.missing)} cannot be loaded{there}; {_INSTALL}, or check LD_LIBRARY_PATH"
    return ""


def first_use_problem(error: BaseException) -> str:
    """What went wrong when the GPU was used for the first time, and what to do."""
    said = brief(error)
    if is_out_of_memory(said):
        return "there is no memory for a CUDA context; stop what else runs on the GPU (nvidia-smi lists it)"
    if "provider not available" in said.lower():
        return "ONNX Runtime cannot load its CUDA library; its log output says why"
    return f"CUDA cannot be used: {said}"


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _neighbours(name: str) -> Iterator[str]:
    stem, _, major = name.rpartition(".")
    return (f"{stem}.{other}" for other in range(max(1, int(major) - 3), int(major) + 3) if other != int(major))
