"""Tensor data as JSON: flat or nested lists in row-major order."""

import struct
from itertools import chain
from math import prod
from typing import Any

import numpy as np

from chrion_runtime.servable import Array
from chrion_runtime.serve.protocol.errors import AnswerFailed, BadRequest


def read_json(where: str, data: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    """An array of `dtype` and `shape` from decoded JSON; `where` names the tensor in errors.

    Raises BadRequest when the values are not of that type, are out of its range, or are not as many as the shape says.
    """
    if dtype == np.float16:
        raise BadRequest(f"{where}: FP16 has no JSON form: send it as binary data, with parameters.binary_data_size")
    values = _flat(where, data, shape)
    packed = _packed(values, dtype)
    if packed is not None:
        return packed.reshape(shape)
    _check_types(where, values, dtype)
    if dtype.hasobject:
        array = np.empty(len(values), dtype)
        array[:] = values
    else:
        array = _numbers(where, values, dtype)
    return array.reshape(shape)


def write_json(where: str, array: Array) -> Any:
    """The values of `array`, flat and in row-major order, as orjson writes them.

    Raises BadRequest, for the remedy is the client's, when JSON cannot carry them, and AnswerFailed for strings that
    are not text.
    """
    if array.dtype == np.float16:
        raise BadRequest(f"{where}: FP16 has no JSON form: ask for it as binary data, with parameters.binary_data true")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise BadRequest(
            f"{where}: the answer holds NaN or infinity, which JSON cannot carry: "
            "ask for it as binary data, with parameters.binary_data true"
        )
    if array.dtype.hasobject:
        values = array.ravel().tolist()
        for index, value in enumerate(values):
            if not isinstance(value, str):
                raise AnswerFailed(f"{where}: element {index} is {type(value).__name__}, not text")
        return values
    # orjson writes numpy's contiguous arrays itself, without a Python object per element.
    return np.ascontiguousarray(array).reshape(-1)


def _flat(where: str, data: Any, shape: tuple[int, ...]) -> list[Any]:
    if not isinstance(data, list):
        if shape:
            raise BadRequest(f"{where}: data must be a list")
        return [data]
    values: list[Any] = data
    depth = 0
    while values and isinstance(values[0], list):
        _check_rows(where, values, shape, depth)
        values = list(chain.from_iterable(values))
        depth += 1
    count = prod(shape)
    if len(values) != count:
        raise BadRequest(f"{where}: data has {len(values)} values, but shape {list(shape)} needs {count}")
    return values


def _check_rows(where: str, rows: list[Any], shape: tuple[int, ...], depth: int) -> None:
    """Lists inside lists follow the shape: each level is as long as its dimension."""
    if depth + 1 >= len(shape):
        raise BadRequest(f"{where}: data is nested deeper than shape {list(shape)}")
    fits = len(rows) == prod(shape[: depth + 1]) and set(map(type, rows)) == {list}
    if not fits or set(map(len, rows)) != {shape[depth + 1]}:
        raise BadRequest(f"{where}: nested data does not follow shape {list(shape)}")


_TYPES: dict[str, tuple[frozenset[type], str]] = {
    "b": (frozenset({bool}), "true or false"),
    "i": (frozenset({int}), "an integer"),
    "u": (frozenset({int}), "an integer"),
    "f": (frozenset({int, float}), "a number"),
    "O": (frozenset({str}), "a string"),
}


_PACKED = {"f": ("d", np.dtype("<f8")), "i": ("q", np.dtype("<i8")), "u": ("Q", np.dtype("<u8"))}
"""How struct packs numbers of a kind, and what they then are."""


def _packed(values: list[Any], dtype: np.dtype[Any]) -> Array | None:
    """Numbers by way of struct, which takes a quarter of the time; None where one is none, or out of range."""
    if dtype.kind not in _PACKED:
        return None
    code, wide = _PACKED[dtype.kind]
    try:
        packed = struct.pack(f"{len(values)}{code}", *values)
    except (struct.error, OverflowError):
        return None
    # struct takes true for 1 and false for 0: only where their bytes are in it need the values be looked at.
    if any(struct.pack(code, number) in packed for number in (0, 1)) and bool in set(map(type, values)):
        return None
    array: Array = np.frombuffer(packed, wide)
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            array = array.astype(dtype)
        return array if np.isfinite(array).all() else None
    bounds = np.iinfo(dtype)
    if array.size and (array.min() < bounds.min or array.max() > bounds.max):
        return None
    return array.astype(dtype)


def _check_types(where: str, values: list[Any], dtype: np.dtype[Any]) -> None:
    allowed, wanted = _TYPES[dtype.kind]
    if not allowed.issuperset(map(type, values)):
        index = next(index for index, value in enumerate(values) if type(value) not in allowed)
        raise BadRequest(f"{where}: value {index} is {_shown(values[index])}, not {wanted}")


def _numbers(where: str, values: list[Any], dtype: np.dtype[Any]) -> Array:
    try:
        with np.errstate(over="ignore"):
            array = np.array(values, dtype)
    except OverflowError:
        bounds = np.iinfo(dtype)
        index = next(index for index, value in enumerate(values) if not bounds.min <= value <= bounds.max)
    else:
        # The JSON parser lets no infinity in, so one here is a number too large for the type.
        if dtype.kind != "f" or np.isfinite(array).all():
            return array
        index = int(np.flatnonzero(~np.isfinite(array))[0])
    raise BadRequest(f"{where}: value {index} is {values[index]}, out of range for {dtype.name}")


def _shown(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case list() | dict():
            return "a list" if isinstance(value, list) else "an object"
    return repr(value)[:40]
