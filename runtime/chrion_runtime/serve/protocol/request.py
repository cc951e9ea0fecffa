"""Reading an inference request: JSON, and the binary tensors behind it."""

from collections.abc import Collection, Container
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from chrion_runtime.servable import Array, SequenceStep
from chrion_runtime.serve.protocol.binary_tensor import read_binary
from chrion_runtime.serve.protocol.checks import (
    check_complete,
    check_new_input,
    check_shape,
    check_tensor,
    read_timeout,
)
from chrion_runtime.serve.protocol.datatypes import DTYPES
from chrion_runtime.serve.protocol.errors import BadRequest
from chrion_runtime.serve.protocol.inflate import Buffer
from chrion_runtime.serve.protocol.json_size import check_json_size
from chrion_runtime.serve.protocol.json_tensor import read_json
from chrion_runtime.serve.protocol.sequence import read_sequence
from chrion_runtime.serve.protocol.signature import Signature


@dataclass(frozen=True)
class RequestedOutput:
    """An output to answer with, and whether as binary data."""

    name: str
    binary: bool


@dataclass(frozen=True)
class InferRequest:
    """A request that fits the model: every input, once, with the right type and shape."""

    id: str | None
    inputs: dict[str, Array]
    """The arrays may be read-only views of the body."""
    outputs: tuple[RequestedOutput, ...]
    """In the order to answer in."""
    timeout: float | None = None
    """Seconds that the client waits, by its parameter `timeout`; None where it does not say."""
    sequence: SequenceStep | None = None
    """The sequence it is of; `inputs` then lacks those that take state."""


_KEPT = 256
"""Layouts that are kept of a model."""
_KEPT_BYTES = 4096
"""The largest JSON of which one is kept."""


@dataclass(frozen=True)
class Layout:
    """What the JSON of a request says whose tensors are all binary; checked once, it holds for others as well."""

    identity: str | None
    tensors: tuple[tuple[str, np.dtype[Any], tuple[int, ...], int], ...]
    """Name, element type, shape and bytes of each, in their order."""
    outputs: tuple[RequestedOutput, ...]
    timeout: float | None
    sequence: SequenceStep | None
    size: int
    """Bytes of all tensors."""

    @classmethod
    def of(cls, request: InferRequest) -> "Layout":
        """The layout of a request that has been read."""
        tensors = tuple((name, array.dtype, array.shape, array.nbytes) for name, array in request.inputs.items())
        size = sum(tensor[3] for tensor in tensors)
        return cls(request.id, tensors, request.outputs, request.timeout, request.sequence, size)

    def read(self, binary: memoryview) -> InferRequest:
        """A request of this layout. Raises BadRequest where its tensors do not fit."""
        if len(binary) < self.size:
            raise BadRequest(f"binary_data_size is {self.size} in all, but {len(binary)} bytes are left in the body")
        if len(binary) > self.size:
            raise BadRequest(f"{len(binary) - self.size} bytes are left over after the last binary input")
        arrays: dict[str, Array] = {}
        start = 0
        for name, dtype, shape, size in self.tensors:
            arrays[name] = read_binary(f'input "{name}"', binary[start : start + size], dtype, shape)
            start += size
        return InferRequest(self.identity, arrays, self.outputs, self.timeout, self.sequence)


def read_request(body: Buffer, header_length: str | None, signature: Signature) -> InferRequest:
    """Read a body; `header_length` is the value of Inference-Header-Content-Length, if there was one.

    Raises BadRequest that says what is wrong with which tensor, and TooCostly.
    """
    view = memoryview(body)
    header, binary = _split(view, header_length)
    if not 0 < len(header) <= _KEPT_BYTES or not len(binary):
        return _read(header, binary, header_length, signature)
    # Of tensors that are all binary the JSON says no more than types and shapes: a client's next request has the same.
    kept = signature.kept
    known = bytes(header)
    layout = kept.get(known)
    if layout is None:
        request = _read(header, binary, header_length, signature)
        if sum(array.nbytes for array in request.inputs.values()) == len(binary) and not signature.has_strings:
            if len(kept) >= _KEPT:
                kept.clear()
            kept[known] = Layout.of(request)
        return request
    assert isinstance(layout, Layout)
    return layout.read(binary)


def _read(header: memoryview, binary: memoryview, header_length: str | None, signature: Signature) -> InferRequest:
    check_json_size(header)
    try:
        document = orjson.loads(header)
    except orjson.JSONDecodeError as error:
        if error.msg.startswith("Not enough memory"):
            raise MemoryError(error.msg) from None
        raise BadRequest(f"the request is not valid JSON: {error}") from None
    if not isinstance(document, dict):
        raise BadRequest('the request is not a JSON object with "inputs"')
    identity = document.get("id")
    if identity is not None and not isinstance(identity, str):
        raise BadRequest("id: must be a string")
    parameters = _parameters("parameters", document)
    sequence = read_sequence(parameters, signature)
    # What is asked for is read first: it is cheap, and wrong requests then cost little.
    outputs = _outputs(document, signature, signature.state if sequence else ())
    timeout = read_timeout(parameters)
    carried = signature.carried if sequence else frozenset()
    inputs = _inputs(document, binary, header_length, signature, carried)
    return InferRequest(identity, inputs, outputs, timeout, sequence)


def _split(view: memoryview, header_length: str | None) -> tuple[memoryview, memoryview]:
    if header_length is None:
        return view, view[len(view) :]
    # Digits only, and few: int() takes more than that, and takes long over many.
    if not (header_length.isascii() and header_length.isdecimal() and len(header_length) < 20):
        raise BadRequest(f'Inference-Header-Content-Length: "{header_length[:40]}" is not a length')
    size = int(header_length)
    if size > len(view):
        raise BadRequest(f"Inference-Header-Content-Length is {size}, but the body has {len(view)} bytes")
    return view[:size], view[size:]


def _inputs(
    document: dict[str, Any],
    binary: memoryview,
    header_length: str | None,
    signature: Signature,
    carried: frozenset[str],
) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    start = 0
    for tensor in _tensors(document, "inputs"):
        name, where, parameters = _tensor(tensor, "input", signature.inputs)
        check_new_input(where, name, arrays, carried)
        datatype, shape = tensor.get("datatype"), _shape(where, tensor.get("shape"))
        if not isinstance(datatype, str):
            raise BadRequest(f"{where}: datatype is missing or not a string")
        signature.inputs[name].check(where, datatype, shape)
        dtype = DTYPES[datatype]
        size = _binary_size(where, tensor, parameters)
        if size is None:
            arrays[name] = read_json(where, tensor["data"], dtype, shape)
            continue
        if header_length is None:
            raise BadRequest(f"{where}: binary_data_size needs the header Inference-Header-Content-Length")
        part = binary[start : start + size]
        if len(part) < size:
            raise BadRequest(f"{where}: binary_data_size is {size}, but {len(part)} bytes are left in the body")
        arrays[name] = read_binary(where, part, dtype, shape)
        start += size
    check_complete(arrays, signature, carried)
    if start != len(binary):
        raise BadRequest(f"{len(binary) - start} bytes are left over after the last binary input")
    return arrays


def _outputs(document: dict[str, Any], signature: Signature, hidden: Container[str]) -> tuple[RequestedOutput, ...]:
    """What to answer: what is named, else all that is not `hidden`."""
    default = _flag("parameters", _parameters("parameters", document), "binary_data_output", False)
    outputs: dict[str, RequestedOutput] = {}
    for tensor in _tensors(document, "outputs") if document.get("outputs") is not None else []:
        name, where, parameters = _tensor(tensor, "output", signature.outputs)
        if name in outputs:
            raise BadRequest(f"{where}: is requested twice")
        outputs[name] = RequestedOutput(name, _flag(where, parameters, "binary_data", default))
    if not outputs:
        outputs = {name: RequestedOutput(name, default) for name in signature.outputs if name not in hidden}
    for output in outputs.values():
        if not output.binary and signature.outputs[output.name].datatype == "FP16":
            raise BadRequest(
                f'output "{output.name}": FP16 has no JSON form: '
                "ask for it as binary data, with parameters.binary_data true"
            )
    return tuple(outputs.values())


def _tensors(document: dict[str, Any], key: str) -> list[dict[str, Any]]:
    tensors = document.get(key)
    if not isinstance(tensors, list) or not all(isinstance(tensor, dict) for tensor in tensors):
        raise BadRequest(f"{key}: is missing or not a list of objects")
    return tensors


def _tensor(tensor: dict[str, Any], kind: str, known: Collection[str]) -> tuple[str, str, dict[str, Any]]:
    """Its name, what errors call it, and its parameters."""
    name = tensor.get("name")
    if not isinstance(name, str):
        raise BadRequest(f"{kind}s: one of them has no name")
    parameters = _parameters(f'{kind} "{name[:80]}"', tensor)
    return name, check_tensor(kind, name, known, parameters), parameters


def _parameters(where: str, holder: dict[str, Any]) -> dict[str, Any]:
    parameters = holder.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise BadRequest(f"{where}: parameters must be an object")
    return parameters


def _flag(where: str, parameters: dict[str, Any], key: str, default: bool) -> bool:
    value = parameters.get(key, default)
    if not isinstance(value, bool):
        raise BadRequest(f"{where}: {key} must be true or false")
    return value


def _shape(where: str, shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, list) or not all(type(size) is int for size in shape):
        raise BadRequest(f"{where}: shape is missing or not a list of integers")
    return check_shape(where, shape)


def _binary_size(where: str, tensor: dict[str, Any], parameters: dict[str, Any]) -> int | None:
    """The bytes that the tensor takes behind the JSON; None where its data is in the JSON."""
    size = parameters.get("binary_data_size")
    if size is None:
        if "data" not in tensor:
            raise BadRequest(f"{where}: has neither data nor parameters.binary_data_size")
        return None
    if type(size) is not int or size < 0:
        raise BadRequest(f"{where}: binary_data_size must be a number of bytes")
    if "data" in tensor:
        raise BadRequest(f"{where}: has both data and parameters.binary_data_size")
    return size
