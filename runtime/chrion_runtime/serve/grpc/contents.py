"""Tensor data as typed values: each datatype has a list of its own in InferTensorContents."""

from math import prod
from typing import Any

import numpy as np

from chrion_runtime.servable import Array
from chrion_runtime.serve.protocol.datatypes import DTYPES
from chrion_runtime.serve.protocol.errors import AnswerFailed, BadRequest

FIELDS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""The list that holds each datatype; there is none for FP16."""

_WIDE = {"int_contents": np.dtype("<i4"), "uint_contents": np.dtype("<u4")}
"""What the values are where the datatype may be narrower."""


def read_contents(where: str, contents: Any, datatype: str, shape: tuple[int, ...]) -> Array:
    """An array of a shape from an InferTensorContents; `where` names the tensor in errors.

    Raises BadRequest when the values are in another list, are not as many as the shape says, or do not fit the type.
    """
    field = FIELDS.get(datatype)
    if field is None:
        raise BadRequest(f"{where}: {datatype} has no field in contents: send it in raw_input_contents")
    for other, _ in contents.ListFields():
        if other.name != field:
            raise BadRequest(f"{where}: {other.name} is set, but {datatype} belongs in {field}")
    values = getattr(contents, field)
    if len(values) != prod(shape):
        raise BadRequest(f"{where}: {field} has {len(values)} values, but shape {list(shape)} needs {prod(shape)}")
    if datatype == "BYTES":
        return _texts(where, values).reshape(shape)
    dtype = DTYPES[datatype]
    array: Array = np.fromiter(values, _WIDE.get(field, dtype), len(values))
    if array.dtype != dtype:
        bounds = np.iinfo(dtype)
        unfit = np.flatnonzero((array < bounds.min) | (array > bounds.max))
        if unfit.size:
            raise BadRequest(f"{where}: value {unfit[0]} is {array[unfit[0]]}, out of range for {dtype.name}")
        array = array.astype(dtype)
    return array.reshape(shape)


def write_contents(where: str, array: Array, datatype: str, contents: Any) -> None:
    """Put the values of `array` into an InferTensorContents; not for FP16. Raises AnswerFailed."""
    values = array.ravel().tolist()
    if datatype == "BYTES":
        values = [_encoded(where, index, value) for index, value in enumerate(values)]
    getattr(contents, FIELDS[datatype]).extend(values)


def _texts(where: str, values: Any) -> Array:
    array = np.empty(len(values), object)
    for index, value in enumerate(values):
        try:
            array[index] = value.decode()
        except UnicodeDecodeError:
            raise BadRequest(f"{where}: element {index} is not valid UTF-8") from None
    return array


def _encoded(where: str, index: int, value: Any) -> bytes:
    if not isinstance(value, str):
        raise AnswerFailed(f"{where}: element {index} is {type(value).__name__}, not text")
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise AnswerFailed(f"{where}: element {index} has no UTF-8 form") from None
