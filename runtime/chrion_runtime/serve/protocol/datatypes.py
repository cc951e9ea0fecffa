"""The protocol's tensor datatypes and the numpy dtypes that hold them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

# Binary tensors are little-endian. BYTES are held as `str`, as ONNX Runtime takes and gives strings.
DTYPES: Mapping[str, np.dtype[Any]] = MappingProxyType(
    {
        "BOOL": np.dtype("?"),
        "UINT8": np.dtype("<u1"),
        "UINT16": np.dtype("<u2"),
        "UINT32": np.dtype("<u4"),
        "UINT64": np.dtype("<u8"),
        "INT8": np.dtype("<i1"),
        "INT16": np.dtype("<i2"),
        "INT32": np.dtype("<i4"),
        "INT64": np.dtype("<i8"),
        "FP16": np.dtype("<f2"),
        "FP32": np.dtype("<f4"),
        "FP64": np.dtype("<f8"),
        "BYTES": np.dtype(object),
    }
)
"""The numpy dtype of each datatype; BYTES are object arrays whose elements are `str`."""

_DATATYPES = {dtype: datatype for datatype, dtype in DTYPES.items()}


def datatype_of(dtype: np.dtype[Any]) -> str | None:
    """The protocol's name for a dtype; None where it has none."""
    return _DATATYPES.get(dtype)
