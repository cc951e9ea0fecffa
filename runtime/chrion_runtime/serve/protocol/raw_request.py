"""A request as it came, before anything of it is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pickle import PickleBuffer
from typing import Any, Protocol, Self

from chrion_runtime.servable import Array
from chrion_runtime.serve.protocol.errors import TooLarge
from chrion_runtime.serve.protocol.inflate import Buffer, inflate
from chrion_runtime.serve.protocol.request import InferRequest, read_request
from chrion_runtime.serve.protocol.response import Answer, write_answer
from chrion_runtime.serve.protocol.signature import Signature

Write = Callable[[str, InferRequest, Mapping[str, Array]], Answer]
"""Writes the answer of a model, by its name, to a request, from the results; the outputs in the order asked for.

Raises BadRequest when an output cannot be sent in the form that was asked for, AnswerFailed when in no form.
"""


class Unread(Protocol):
    """A request in one of the protocol's forms, before anything of it is read. It can be sent to another process."""

    @property
    def size(self) -> int:
        """Its bytes, as they came."""

    def plain(self, limit: int) -> Self:
        """The same, inflated where it is compressed; at most `limit` bytes. Raises ProtocolError."""

    def unpacked(self, limit: int) -> Self:
        """The same, inflated where that makes at most `limit` bytes, else as it is. Raises ProtocolError."""

    def is_slow(self, large: int, strings: bool) -> bool:
        """Whether more than `large` bytes of it are read value by value; `strings` are also where they are binary."""

    def read(self, signature: Signature) -> InferRequest:
        """What it says; to be asked of a plain one. Raises BadRequest, TooCostly."""

    @property
    def write(self) -> Write:
        """Writes its answer, in the same form."""


@dataclass(frozen=True)
class RawRequest:
    """A request over HTTP: the body, and the two headers that say how to read it."""

    body: Buffer
    header_length: str | None = None
    """Inference-Header-Content-Length."""
    encoding: str = ""
    """Content-Encoding."""

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return len(self.body)

    def plain(self, limit: int) -> "RawRequest":
        """The same with a body that is not compressed. Raises UnsupportedEncoding, TooLarge or BadRequest."""
        if not self.encoding:
            return self
        return RawRequest(inflate(self.body, self.encoding, limit), self.header_length)

    def unpacked(self, limit: int) -> "RawRequest":
        """The same, inflated where that makes at most `limit` bytes. Raises UnsupportedEncoding, BadRequest."""
        try:
            return self.plain(limit)
        except TooLarge:
            return self

    def is_slow(self, large: int, strings: bool) -> bool:
        """Whether it is compressed, or holds so much JSON, or strings."""
        return bool(self.encoding) or self.json_size > large or (strings and self.size > large)

    def read(self, signature: Signature) -> InferRequest:
        """What the body says. Raises BadRequest, TooCostly."""
        return read_request(self.body, self.header_length, signature)

    write = staticmethod(write_answer)

    @property
    def json_size(self) -> int:
        """Bytes of the JSON, as far as the header can be trusted; all of the body without one."""
        length = self.header_length
        if length is None or not length.isdecimal() or len(length) > 18:
            return len(self.body)
        return min(int(length), len(self.body))

    def __reduce__(self) -> tuple[type["RawRequest"], tuple[Any, ...]]:
        # A view of bytes can only be sent to another process as a buffer of its own.
        return RawRequest, (PickleBuffer(self.body), self.header_length, self.encoding)
