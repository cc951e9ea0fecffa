"""A ModelInferRequest as it came, with its raw tensors apart from what protobuf reads.

Protobuf would copy the tensors twice, and makes far more of some bytes than they are: of two bytes an empty tensor of a
hundred. So what it is given is counted and small, or is read in another process, as large JSON is.
"""

from dataclasses import dataclass
from pickle import PickleBuffer
from typing import Any

from chrion_runtime.serve.grpc.reading import NOT_A_REQUEST, read_infer
from chrion_runtime.serve.grpc.writing import write_infer
from chrion_runtime.serve.protocol import InferRequest, Signature
from chrion_runtime.serve.protocol.errors import BadRequest
from chrion_runtime.serve.protocol.inflate import Buffer

MOST_FIELDS = 16_384
"""Fields of a message: its inputs and outputs, raw tensors and parameters."""

_NAME, _VERSION, _RAW = 1, 2, 7
"""Field numbers of a ModelInferRequest."""
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
"""Wire types: https://protobuf.dev/programming-guides/encoding/"""


@dataclass(frozen=True)
class InferMessage:
    """What one of the protocol's forms, `Unread`, is over gRPC."""

    model: str
    version: str | None
    size: int
    """Bytes of the message."""
    head: bytes
    """The message without its raw tensors."""
    tensors: tuple[Buffer, ...]
    """The raw tensors, views of the message."""
    scope: str = ""
    """What the id of its sequence belongs to."""

    def plain(self, _limit: int) -> "InferMessage":
        """Itself: compressed messages are refused before they come here."""
        return self

    def unpacked(self, _limit: int) -> "InferMessage":
        """Itself, too."""
        return self

    def is_slow(self, large: int, strings: bool) -> bool:
        """Whether it holds so many typed values, or strings."""
        return len(self.head) > large or (strings and self.size > large)

    def read(self, signature: Signature) -> InferRequest:
        """What it says. Raises BadRequest."""
        return read_infer(self.head, self.tensors, signature, self.scope)

    write = staticmethod(write_infer)

    def __reduce__(self) -> tuple[type["InferMessage"], tuple[Any, ...]]:
        # A view of bytes can only be sent to another process as a buffer of its own.
        tensors = tuple(map(PickleBuffer, self.tensors))
        return InferMessage, (self.model, self.version, self.size, self.head, tensors, self.scope)


def take_apart(message: bytes, scope: str = "") -> InferMessage:
    """Find the raw tensors and the model's name; nothing is copied but what is left. Raises BadRequest."""
    view = memoryview(message)
    names = {_NAME: b"", _VERSION: b""}
    head: list[memoryview] = []
    tensors: list[memoryview] = []
    end = 0
    try:
        while end < len(message):
            start = end
            number, begin, end = _field(message, start)
            if number == _RAW:
                tensors.append(view[begin:end])
            else:
                head.append(view[start:end])
                if number in names:
                    names[number] = message[begin:end]
            if len(head) + len(tensors) > MOST_FIELDS:
                raise BadRequest(f"the request has more than {MOST_FIELDS} tensors and parameters")
        model, version = names[_NAME].decode(), names[_VERSION].decode()
    except (IndexError, UnicodeDecodeError):
        raise BadRequest(NOT_A_REQUEST) from None
    return InferMessage(model, version or None, len(message), b"".join(head), tuple(tensors), scope)


def _field(message: bytes, start: int) -> tuple[int, int, int]:
    """The number of the field at `start`, and where its value begins and ends. Raises BadRequest, IndexError."""
    tag, begin = _varint(message, start)
    number, wire = tag >> 3, tag & 7
    if number in (_NAME, _VERSION, _RAW) and wire != _LENGTH:
        raise BadRequest(NOT_A_REQUEST)
    if wire == _VARINT:
        _, end = _varint(message, begin)
    elif wire == _LENGTH:
        size, begin = _varint(message, begin)
        end = begin + size
    elif wire in (_FIXED64, _FIXED32):
        end = begin + (8 if wire == _FIXED64 else 4)
    else:
        raise BadRequest(NOT_A_REQUEST)
    if end > len(message):
        raise BadRequest(NOT_A_REQUEST)
    return number, begin, end


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """The number at `position`, seven bits a byte, and where it ends. Raises BadRequest, IndexError."""
    value = 0
    for shift in range(0, 64, 7):
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise BadRequest(NOT_A_REQUEST)
