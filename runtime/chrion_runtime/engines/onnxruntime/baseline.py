"""Whole models in plain sessions, as people run them without Chrion: what plans are measured beside."""

from pathlib import Path

import onnxruntime as ort

from chrion_runtime.devices import Device
from chrion_runtime.errors import DeviceUnavailable


def plain_session(model: Path, threads: int, device: Device, parallel: bool) -> ort.InferenceSession:
    """A session of the original model; `threads` 0 is ONNX Runtime's default, and so is all else but `parallel`, which
    runs independent nodes side by side (ORT_PARALLEL). Raises DeviceUnavailable."""
    options = ort.SessionOptions()
    options.log_severity_level = 4  # what goes wrong reaches the caller as an exception
    options.intra_op_num_threads = threads
    if parallel:
        options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
    providers: list[object] = ["CPUExecutionProvider"]
    if device.traits.provider:
        from chrion_runtime.engines.onnxruntime.cuda.device import Cuda
        from chrion_runtime.engines.onnxruntime.cuda.options import provider

        assert isinstance(device, Cuda)
        providers.insert(0, provider(device.index))
    session = ort.InferenceSession(model, options, providers=providers, enable_fallback=0)
    if device.traits.provider and session.get_providers()[0] != device.traits.provider:
        raise DeviceUnavailable(f"{device.name}: ONNX Runtime fell back to {session.get_providers()[0]}")
    return session
