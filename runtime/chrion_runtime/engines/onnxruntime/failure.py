"""Whose fault it is that a run failed: the request's values, the memory of the host or of a GPU, or the machine."""

import re

from chrion_graph.ort import brief
from chrion_runtime.devices.run_memory import RUN_MEMORY
from chrion_runtime.errors import OutOfMemory, RunError, UnfitValues

_VALUES = frozenset({"Fail", "InvalidArgument"})
"""ONNX Runtime's exceptions for shapes that do not go together, indices out of range, division by zero and the like."""
_MACHINE = re.compile(r"alloc|cuda|cudnn|cublas", re.IGNORECASE)
_OVERFLOW = re.compile(r"overflow|tensor shape.size\(\) must be >= 0|length_error|vector::", re.IGNORECASE)
"""Sizes that no memory could hold."""
_ASKED = re.compile(r"requested bytes of (\d+)")


def run_error(error: BaseException, gpu: bool = False) -> RunError:
    """The error to tell of a failed run; `gpu` says that it failed on one.

    A model that runs has run before: by default it is the values' fault.
    """
    text = str(error)
    if isinstance(error, MemoryError) or is_out_of_memory(text):
        return _gpu_memory(error) if gpu or "cuda" in text.lower() else _host_memory(text)
    if _OVERFLOW.search(text):
        return UnfitValues(f"the values require a tensor of an impossible size: {brief(error)}")
    unfit = type(error).__name__ in _VALUES and not _MACHINE.search(text)
    return (UnfitValues if unfit else RunError)(f"the model fails on these values: {brief(error)}")


def is_out_of_memory(text: str) -> bool:
    """Whether an error of ONNX Runtime, CUDA, cuDNN or cuBLAS says that memory ran out, on a GPU or on the host."""
    lowered = text.lower()
    return any(
        words in lowered
        for words in (
            "out of memory",
            "cudaerrormemoryallocation",
            "cuda failure 2:",
            "_status_alloc_failed",
            "failed to allocate memory for requested buffer",
            "is smaller than requested bytes",  # the arena's limit
            "bad_alloc",
            "bad allocation",
        )
    )


def _host_memory(text: str) -> RunError:
    asked = _ASKED.search(text)
    return RUN_MEMORY.no_room(int(asked[1]) if asked else 0)


def _gpu_memory(error: BaseException) -> RunError:
    return OutOfMemory(
        f"the GPU is out of memory for this request: {brief(error)}; send smaller inputs, raise slo.gpuMemory, "
        "or stop what else runs on it"
    )
