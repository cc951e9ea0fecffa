"""Writing the answer to an inference request: JSON, and the binary tensors behind it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pickle import PickleBuffer
from typing import Any

import orjson

from chrion_runtime.servable import Array
from chrion_runtime.serve.protocol.binary_tensor import write_binary
from chrion_runtime.serve.protocol.datatypes import datatype_of
from chrion_runtime.serve.protocol.errors import AnswerFailed
from chrion_runtime.serve.protocol.inflate import Buffer
from chrion_runtime.serve.protocol.json_tensor import write_json
from chrion_runtime.serve.protocol.metadata import MODEL_VERSION
from chrion_runtime.serve.protocol.request import InferRequest


@dataclass(frozen=True)
class Answer:
    """A body to send, in parts, and the bytes of JSON at its start where binary tensors follow."""

    parts: tuple[Buffer, ...]
    header_length: int | None = None

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return sum(map(len, self.parts))

    @property
    def body(self) -> bytes:
        """The parts as one."""
        return b"".join(self.parts)

    def __reduce__(self) -> tuple[type["Answer"], tuple[Any, ...]]:
        # A view of bytes can only be sent to another process as a buffer of its own.
        return Answer, (tuple(map(PickleBuffer, self.parts)), self.header_length)


def result_of(name: str, results: Mapping[str, Array]) -> tuple[str, Array, str]:
    """What errors call an output, its array and its datatype. Raises AnswerFailed where it is missing or has none."""
    where = f'output "{name}"'
    array = results.get(name)
    if array is None:
        raise AnswerFailed(f"{where}: the model did not return this output")
    datatype = datatype_of(array.dtype)
    if datatype is None:
        raise AnswerFailed(f"{where}: the inference protocol has no datatype for {array.dtype}")
    return where, array, datatype


def write_answer(model: str, request: InferRequest, results: Mapping[str, Array]) -> Answer:
    """The answer of `model` to `request`, the outputs in the order that was asked for.

    Raises BadRequest when an output cannot be sent in the form that was asked for, AnswerFailed when in no form.
    """
    outputs: list[dict[str, Any]] = []
    parts: list[bytes | memoryview] = []
    for requested in request.outputs:
        name = requested.name
        where, array, datatype = result_of(name, results)
        output: dict[str, Any] = {"name": name, "datatype": datatype, "shape": array.shape}
        if requested.binary:
            part = write_binary(where, array)
            output["parameters"] = {"binary_data_size": len(part)}
            parts.append(part)
        else:
            output["data"] = write_json(where, array)
        outputs.append(output)
    document: dict[str, Any] = {"model_name": model, "model_version": MODEL_VERSION, "outputs": outputs}
    if request.id is not None:
        document["id"] = request.id
    try:
        header = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError as error:
        raise AnswerFailed(f"the answer has no JSON form: {error}") from None
    if not parts:
        return Answer((header,))
    return Answer((header, *parts), len(header))
