"""Whose fault it is that a run failed: the request's values, the memory of the host or of a GPU, or the machine."""

import re

from chrion_graph.ort import brief
from chrion_runtime.devices.cuda.probe import is_out_of_memory
from chrion_runtime.devices.run_memory import LIMIT, RUN_MEMORY
from chrion_runtime.errors import OutOfMemory, OverMemory, RunError, UnfitValues

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
        return UnfitValues(f"the values ask for a tensor of an impossible size: {brief(error)}")
    unfit = type(error).__name__ in _VALUES and not _MACHINE.search(text)
    return (UnfitValues if unfit else RunError)(f"the model fails on these values: {brief(error)}")


def after_trimming(error: OutOfMemory) -> RunError:
    """What to tell of a run that failed though all memory that nobody held was given back first."""
    if not error.on_host or RUN_MEMORY.trim() > RUN_MEMORY.usual:
        return error
    limit = RUN_MEMORY.limit
    return OverMemory(
        f"the run needs more memory than the {limit} bytes that there are for all runs {LIMIT}, though nothing else "
        "holds any: send smaller inputs or values that ask for less, or raise the limit"
    )


def _host_memory(text: str) -> RunError:
    limit, asked = RUN_MEMORY.limit, _ASKED.search(text)
    if asked and int(asked[1]) > limit:
        return OverMemory(
            f"the run needs {asked[1]} bytes at once, and there are {limit} for all runs {LIMIT}: send smaller inputs "
            "or values that ask for less, or raise the limit"
        )
    found = OutOfMemory(
        f"the CPU's memory has no room for this request: all runs and what they keep may take {limit} bytes together "
        f"{LIMIT}: try again later, send smaller inputs, or raise the limit"
    )
    found.on_host = True
    return found


def _gpu_memory(error: BaseException) -> RunError:
    return OutOfMemory(
        f"the GPU has no memory left for this request: {brief(error)}; send smaller inputs, raise slo.gpuMemory, "
        "or end what else runs there"
    )
