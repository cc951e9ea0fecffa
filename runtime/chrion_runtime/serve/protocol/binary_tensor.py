"""Tensor data as bytes: little-endian, row-major, strings each behind a four-byte length."""

import sys
from math import prod
from struct import Struct
from typing import Any

import numpy as np

from chrion_runtime.servable import Array
from chrion_runtime.serve.protocol.errors import AnswerFailed, BadRequest

_LENGTH = Struct("<I")

assert sys.byteorder == "little", "the binary tensor extension is little-endian, and nothing here swaps bytes"


def read_binary(where: str, part: memoryview, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    """An array of `dtype` and `shape` over `part`; copied only where the bytes are not aligned for it.

    Raises BadRequest when the bytes are not as many as the shape needs, or are no value of the type.
    """
    if dtype.hasobject:
        return _strings(where, part, prod(shape)).reshape(shape)
    needed = prod(shape) * dtype.itemsize
    if len(part) != needed:
        raise BadRequest(
            f"{where}: its binary data is {len(part)} bytes, but shape {list(shape)} of {dtype.name} needs {needed}"
        )
    array: Array = np.frombuffer(part, dtype)
    if dtype == np.bool_ and array.view(np.uint8).max(initial=0) > 1:
        raise BadRequest(f"{where}: a BOOL must be the byte 0 or 1")
    if not array.flags.aligned:
        array = array.copy()
    return array.reshape(shape)


def write_binary(where: str, array: Array) -> bytes | memoryview:
    """The bytes of `array`; not a copy unless it is strided or holds strings. Raises AnswerFailed."""
    if not array.dtype.hasobject:
        return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    parts: list[bytes] = []
    for index, value in enumerate(array.ravel().tolist()):
        if not isinstance(value, str):
            raise AnswerFailed(f"{where}: element {index} is {type(value).__name__}, not text")
        try:
            text = value.encode()
        except UnicodeEncodeError:
            raise AnswerFailed(f"{where}: element {index} has no UTF-8 form") from None
        parts += (_LENGTH.pack(len(text)), text)
    return b"".join(parts)


def _strings(where: str, part: memoryview, count: int) -> Array:
    # Each string takes four bytes at least, so a small part cannot ask for a large array.
    if count * _LENGTH.size > len(part):
        raise BadRequest(f"{where}: {len(part)} bytes cannot hold the {count} strings that its shape requires")
    array = np.empty(count, object)
    start = 0
    for index in range(count):
        text = start + _LENGTH.size
        if text > len(part):
            raise BadRequest(f"{where}: the bytes end before element {index}")
        end = text + _LENGTH.unpack_from(part, start)[0]
        if end > len(part):
            raise BadRequest(
                f"{where}: element {index} says it is {end - text} bytes long, but {len(part) - text} are left"
            )
        try:
            array[index] = str(part[text:end], "utf-8")
        except UnicodeDecodeError:
            raise BadRequest(f"{where}: element {index} is not valid UTF-8") from None
        start = end
    if start != len(part):
        raise BadRequest(f"{where}: {len(part) - start} bytes are left over after {count} strings")
    return array
