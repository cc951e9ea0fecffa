"""ModelStreamInfer: requests come and answers go over one stream, in their order; a sequence is a stream's own.

As in Triton an error of one request is answered in its place, and the stream goes on. What is in flight is bounded: the
stream is read only as far ahead as that allows, so that its client is held up by gRPC's flow control.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from google.protobuf.message import DecodeError

from chrion_runtime.serve.grpc.message import InferMessage, take_apart
from chrion_runtime.serve.grpc.messages import CLASSES
from chrion_runtime.serve.models.registry import ModelRegistry, ServedModel
from chrion_runtime.serve.protocol import Answer
from chrion_runtime.serve.protocol.errors import NotRead, ShuttingDown
from chrion_runtime.serve.request.call import InferCall
from chrion_runtime.serve.request.refusal import refusal
from chrion_runtime.serve.telemetry import STREAM

MOST_IN_FLIGHT = 16
"""Requests of a stream that are read ahead of the answers: enough that none waits for the network, and that one client
takes but a part of a model's queue."""
MOST_BYTES = 4 << 20
"""Bytes of these from which on no other is read: speech takes kilobytes, and a larger request goes alone."""

_numbers = count(1)
_MOST_HEAD = 64 * 1024
"""Bytes of a request, without its raw tensors, that are read for its id where it is refused."""
_INFER_RESPONSE = b"\x12"
"""The tag of the field infer_response: number 2, with a length."""


@dataclass(eq=False)
class _Entry:
    """One request of a stream, until it is answered."""

    size: int
    head: bytes = b""
    """What came without its raw tensors."""
    call: InferCall | None = None
    task: "asyncio.Task[Answer] | None" = None
    answer: Answer | None = None
    error: Exception | None = None

    async def outcome(self) -> Answer:
        """The answer, once it is there. Raises what came instead."""
        if self.error is not None:
            raise self.error
        if self.task is not None:
            return await self.task
        assert self.answer is not None, "an entry has one of the three"
        return self.answer

    def end(self, error: BaseException | None) -> None:
        """It was answered, or will not be; a second time says nothing."""
        if self.task is not None:
            self.task.cancel()
        if self.call is not None:
            self.call.end(error)
        # What it held is not kept for as long as it is the last one of its model.
        self.call = self.task = self.answer = None


class InferStream:
    """One stream; `run` once, on the event loop."""

    def __init__(self, registry: ModelRegistry, headers: Mapping[str, str], leaving: asyncio.Event) -> None:
        """`headers` are the call's metadata; once `leaving` is set nothing more is read."""
        self._registry = registry
        self._headers = headers
        self._leaving = leaving
        self._scope = f"stream {next(_numbers)}"
        self._entries: asyncio.Queue[_Entry | None] = asyncio.Queue()
        self._in_flight: list[_Entry] = []
        self._freed = asyncio.Event()
        self._with_state: dict[str, ServedModel] = {}
        """Models with state that were asked."""
        self._last: dict[str, _Entry] = {}
        """The last request of each of those: they carry state in order, whatever each is read by."""

    async def run(self, context: Any) -> None:
        """Answer until the client has said its last, or has gone. Raises ShuttingDown where the server leaves."""
        writing = asyncio.create_task(self._write(context))
        writing.add_done_callback(lambda _: self._freed.set())
        leaving = asyncio.create_task(self._leaving.wait())
        try:
            while (message := await self._next(context, writing, leaving)) is not None:
                self._begin(message, context.time_remaining())
                del message
                await self._room(writing)
            self._entries.put_nowait(None)
            await writing
        finally:
            writing.cancel()
            leaving.cancel()
            for entry in self._in_flight:
                entry.end(asyncio.CancelledError())
            for model in self._with_state.values():
                model.servable.forget(self._scope)
        if self._leaving.is_set():
            raise ShuttingDown

    async def _next(self, context: Any, writing: "asyncio.Task[None]", leaving: "asyncio.Task[Any]") -> bytes | None:
        """The next message; None for the end, or where the server leaves."""
        reading = asyncio.create_task(context.read())
        try:
            await asyncio.wait({reading, leaving, writing}, return_when=asyncio.FIRST_COMPLETED)
            if writing.done():
                await writing  # for what it failed with
            message = await reading if reading.done() and not leaving.done() else None
        finally:
            reading.cancel()
        return message if isinstance(message, bytes) else None

    async def _room(self, writing: "asyncio.Task[None]") -> None:
        """Wait until one more request may be in flight."""
        while (
            len(self._in_flight) >= MOST_IN_FLIGHT or sum(entry.size for entry in self._in_flight) >= MOST_BYTES
        ) and not writing.done():
            self._freed.clear()
            await self._freed.wait()

    def _begin(self, message: bytes, seconds: float | None) -> None:
        """Begin with a request; the call's deadline, which is the stream's, leaves it so many seconds."""
        entry = _Entry(len(message))
        self._in_flight.append(entry)
        self._entries.put_nowait(entry)
        try:
            raw = take_apart(message, self._scope)
            entry.head = raw.head
            model = self._registry.model(raw.model, raw.version)
            call = entry.call = InferCall(self._registry, model, self._headers, STREAM)
            call.take(raw.size)
            before = None
            if model.signature.state:
                self._with_state[raw.model] = model
                before, self._last[raw.model] = self._last.get(raw.model), entry
            if before is None or before not in self._in_flight:
                self._answer(entry, call, raw, seconds)
            else:
                entry.task = asyncio.create_task(_after(before, call, raw, seconds))
        except Exception as error:  # noqa: BLE001, whatever it is, the client gets an answer
            entry.error = error

    def _answer(self, entry: _Entry, call: InferCall, raw: InferMessage, seconds: float | None) -> None:
        outcome = call.answer(raw, seconds)
        if isinstance(outcome, Answer):
            entry.answer = outcome
        else:
            entry.task = asyncio.create_task(outcome)

    async def _write(self, context: Any) -> None:
        while (entry := await self._entries.get()) is not None:
            try:
                await self._say(context, entry)
            finally:
                entry.end(asyncio.CancelledError())  # unless it was answered
                self._in_flight.remove(entry)
                self._freed.set()

    async def _say(self, context: Any, entry: _Entry) -> None:
        """Send the answer to a request, once it is there, or what is wrong with it."""
        try:
            answer = await entry.outcome()
            message = _wrapped(answer.body)
        except Exception as error:  # noqa: BLE001, as in _begin
            entry.end(error)
            await self._sent(context, self._refused(entry, error))
            return
        await self._sent(context, message)
        if entry.call is not None:
            entry.call.sent(answer)
        entry.end(None)

    async def _sent(self, context: Any, message: bytes) -> None:
        """Send a message. Raises NotRead where the client takes too long to read."""
        seconds = self._registry.options.write_seconds
        try:
            async with asyncio.timeout(seconds):
                await context.write(message)
        except TimeoutError:
            raise NotRead(seconds) from None

    def _refused(self, entry: _Entry, error: Exception) -> bytes:
        text = refusal(error, "ModelStreamInfer", self._headers).text
        answer = CLASSES["ModelStreamInferResponse"](error_message=text, infer_response={"id": _id_of(entry.head)})
        message: bytes = answer.SerializeToString()
        return message


async def _after(before: _Entry, call: InferCall, raw: InferMessage, seconds: float | None) -> Answer:
    """The answer to a request that carries on the state of the one before it."""
    if before.task is not None:
        await asyncio.wait({before.task})
    outcome: Answer | Coroutine[Any, Any, Answer] = call.answer(raw, seconds)
    return outcome if isinstance(outcome, Answer) else await outcome


def _id_of(head: bytes) -> str:
    """What the client calls a request; empty where that is not easily read."""
    if len(head) > _MOST_HEAD:
        return ""
    try:
        return str(CLASSES["ModelInferRequest"].FromString(head).id)
    except DecodeError:
        return ""


def _wrapped(response: bytes) -> bytes:
    """A ModelInferResponse as the field of a ModelStreamInferResponse; nothing of it is read again."""
    size, length = len(response), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    length.append(size)
    return b"".join((_INFER_RESPONSE, length, response))
