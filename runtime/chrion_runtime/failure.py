"""Whose fault it is that a run failed: the request's values, the GPU's memory, or the machine."""

import re

from chrion_graph.ort import brief
from chrion_runtime.devices.cuda.probe import is_out_of_memory
from chrion_runtime.errors import OutOfMemory, RunError, UnfitValues

_VALUES = frozenset({"Fail", "InvalidArgument"})
"""ONNX Runtime's exceptions for shapes that do not go together, indices out of range, division by zero and the like."""
_MACHINE = re.compile(r"alloc|cuda|cudnn|cublas", re.IGNORECASE)


def run_error(error: BaseException) -> RunError:
    """The error to tell of a failed run. A model that runs has run before: by default it is the values' fault."""
    if is_out_of_memory(str(error)):
        return OutOfMemory(
            f"the GPU has no memory left for this request: {brief(error)}; send smaller inputs, raise slo.gpuMemory, "
            "or end what else runs there"
        )
    unfit = type(error).__name__ in _VALUES and not _MACHINE.search(str(error))
    return (UnfitValues if unfit else RunError)(f"the model fails on these values: {brief(error)}")
