"""An NVIDIA GPU through ONNX Runtime's CUDA execution provider."""

import ctypes
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from chrion_api import DeviceKey, Optimization
from chrion_runtime.devices.device import Device, options
from chrion_runtime.errors import DeviceUnavailable
from chrion_runtime.servable import Array

_PROVIDER = "CUDAExecutionProvider"


class Cuda(Device):
    """One GPU with one lane, the CUDA stream of its sessions."""

    def __init__(self, name: str, index: int) -> None:
        """Raises DeviceUnavailable, with the reason, where the GPU cannot be used."""
        super().__init__(name, name, 1)
        self._index = index
        if _PROVIDER not in ort.get_available_providers():
            raise DeviceUnavailable(f"{name}: onnxruntime-gpu is not installed; install chrion[gpu] instead of [cpu]")
        try:
            ort.preload_dlls()
            # The one probe that cannot be fooled: a session would silently fall back to the CPU.
            ort.OrtValue.ortvalue_from_shape_and_type((1,), np.float32, "cuda", index)
        except Exception as error:  # noqa: BLE001, ONNX Runtime raises many types
            raise DeviceUnavailable(f"{name}: CUDA cannot be used: {' '.join(str(error).split())[:300]}") from None

    @cached_property
    def key(self) -> DeviceKey:
        driver = ctypes.CDLL("libcuda.so.1")
        name = ctypes.create_string_buffer(256)
        version, cores = ctypes.c_int(), ctypes.c_int()
        driver.cuDeviceGetName(name, 256, self._index)
        driver.cuDriverGetVersion(ctypes.byref(version))
        driver.cuDeviceGetAttribute(ctypes.byref(cores), 16, self._index)  # MULTIPROCESSOR_COUNT
        return DeviceKey(
            product=name.value.decode(),
            cores=max(1, cores.value),
            onnxruntime=ort.__version__,
            driver=str(version.value),
        )

    @cached_property
    def total_bytes(self) -> int | None:
        driver, device, found = ctypes.CDLL("libcuda.so.1"), ctypes.c_int(), ctypes.c_size_t()
        driver.cuDeviceGet(ctypes.byref(device), self._index)
        # 0 is success: what cannot be told bounds nothing.
        return None if driver.cuDeviceTotalMem_v2(ctypes.byref(found), device) else found.value

    def session(self, path: Path, lanes: int, optimization: Optimization, spin: bool) -> ort.InferenceSession:
        found = options(lanes, optimization, spin)
        # A node that CUDA does not take must be an error here, not a hidden copy to the CPU.
        found.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        provider = (_PROVIDER, {"device_id": str(self._index), "arena_extend_strategy": "kSameAsRequested"})
        session = ort.InferenceSession(path, found, providers=[provider])
        if session.get_providers()[0] != _PROVIDER:
            raise DeviceUnavailable(f"{self.name}: ONNX Runtime fell back to {session.get_providers()[0]}")
        return session

    def scope(self, lane: str) -> str:
        return lane

    def put(self, array: Array) -> ort.OrtValue:
        return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array), "cuda", self._index)

    def get(self, value: ort.OrtValue) -> Array:
        array: Array = value.numpy()
        return array

    def run(
        self,
        session: ort.InferenceSession,
        names: Sequence[str],
        values: Sequence[ort.OrtValue],
        outputs: Sequence[str],
    ) -> list[ort.OrtValue]:
        binding = session.io_binding()
        for name, value in zip(names, values, strict=True):
            binding.bind_ortvalue_input(name, value)
        for name in outputs:
            binding.bind_output(name, "cuda", self._index)
        session.run_with_iobinding(binding)
        found: list[ort.OrtValue] = binding.get_outputs()
        return found

    def allocate(self, dtype: np.dtype[Any], shape: Sequence[int]) -> ort.OrtValue:
        return ort.OrtValue.ortvalue_from_shape_and_type(list(shape), dtype.type, "cuda", self._index)
