"""Whose fault it is that a run failed: the request's values, or the machine."""

import re

from chrion_graph.ort import brief
from chrion_runtime.errors import RunError, UnfitValues

_VALUES = frozenset({"Fail", "InvalidArgument"})
"""ONNX Runtime's exceptions for shapes that do not go together, indices out of range, division by zero and the like."""
_MACHINE = re.compile(r"alloc|cuda|cudnn|cublas", re.IGNORECASE)


def run_error(error: BaseException) -> RunError:
    """The error to tell of a failed run. A model that runs has run before: by default it is the values' fault."""
    unfit = type(error).__name__ in _VALUES and not _MACHINE.search(str(error))
    return (UnfitValues if unfit else RunError)(f"the model fails on these values: {brief(error)}")
