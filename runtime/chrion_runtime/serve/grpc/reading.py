"""Reading a ModelInferRequest."""

from collections.abc import Container, Sequence
from typing import Any

from google.protobuf.message import DecodeError

from chrion_runtime.servable import Array
from chrion_runtime.serve.grpc.contents import read_contents
from chrion_runtime.serve.grpc.messages import CLASSES, ONE_OF
from chrion_runtime.serve.protocol import InferRequest, RequestedOutput, Signature
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
from chrion_runtime.serve.protocol.sequence import read_sequence

NOT_A_REQUEST = "the message is not a ModelInferRequest"


def parse(kind: str, data: bytes) -> Any:
    """A message of this kind. Raises BadRequest."""
    try:
        return CLASSES[kind].FromString(data)
    except DecodeError:
        raise BadRequest(f"the message is not a {kind}") from None


def read_infer(head: bytes, tensors: Sequence[Buffer], signature: Signature, scope: str = "") -> InferRequest:
    """Read a ModelInferRequest, `head`, with its raw tensors. Raises BadRequest that says what is wrong with which one.

    Its sequence is one of the `scope`. The answer shall be raw, unless the inputs are typed; and then too where an
    output has no typed form.
    """
    message = parse("ModelInferRequest", head)
    parameters = _parameters(message)
    sequence = read_sequence(parameters, signature, scope)
    names = _outputs(message, signature, signature.state if sequence else ())
    typed = any(tensor.HasField("contents") for tensor in message.inputs)
    binary = not typed or any(signature.outputs[name].datatype == "FP16" for name in names)
    carried = signature.carried if sequence else frozenset()
    return InferRequest(
        message.id or None,
        _inputs(message, tensors, signature, carried),
        tuple(RequestedOutput(name, binary) for name in names),
        read_timeout(parameters),
        sequence,
    )


def _inputs(message: Any, tensors: Sequence[Buffer], signature: Signature, carried: frozenset[str]) -> dict[str, Array]:
    if tensors and len(tensors) != len(message.inputs):
        raise BadRequest(f"raw_input_contents holds {len(tensors)} tensors, but inputs lists {len(message.inputs)}")
    arrays: dict[str, Array] = {}
    for index, tensor in enumerate(message.inputs):
        name, datatype = tensor.name, tensor.datatype
        where = check_tensor("input", name, signature.inputs, _parameters(tensor))
        check_new_input(where, name, arrays, carried)
        shape = check_shape(where, tensor.shape)
        signature.inputs[name].check(where, datatype, shape)
        if not tensors:
            arrays[name] = read_contents(where, tensor.contents, datatype, shape)
        elif tensor.HasField("contents"):
            raise BadRequest(f"{where}: give contents or raw_input_contents, not both")
        else:
            arrays[name] = read_binary(where, memoryview(tensors[index]), DTYPES[datatype], shape)
    check_complete(arrays, signature, carried)
    return arrays


def _outputs(message: Any, signature: Signature, hidden: Container[str]) -> list[str]:
    """What to answer: what is named, else all that is not `hidden`."""
    names: list[str] = []
    for tensor in message.outputs:
        where = check_tensor("output", tensor.name, signature.outputs, _parameters(tensor))
        if tensor.name in names:
            raise BadRequest(f"{where}: is requested twice")
        names.append(tensor.name)
    return names or [name for name in signature.outputs if name not in hidden]


def _parameters(holder: Any) -> dict[str, Any]:
    """The parameters by name; None for one without a value."""
    found = {}
    for entry in holder.parameters:
        choice = entry.value.WhichOneof(ONE_OF["InferParameter"])
        found[entry.key] = None if choice is None else getattr(entry.value, choice)
    return found
