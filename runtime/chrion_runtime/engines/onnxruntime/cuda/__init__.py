"""NVIDIA GPUs through ONNX Runtime's CUDA execution provider."""

from chrion_runtime.engines.onnxruntime.cuda.device import Cuda

__all__ = ["Cuda"]
