"""A connection of aiohttp's that answers plain inference requests itself, at a fraction of the cost.

aiohttp's way from bytes to a handler and back (parser, stream, task, request, router, middlewares, response) takes
several times what a small model takes. Here a plain request, as `plain` reads it, goes from the socket to the model and
back in one call, and its answer leaves in one write. Everything else takes aiohttp's way, on the same connection; the
two never work at the same time.
"""

import asyncio
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from time import time
from typing import Any

from aiohttp import web

from chrion_runtime.serve.http.errors import JsonErrors
from chrion_runtime.serve.http.plain import PlainHead, is_plain_get, plain_head
from chrion_runtime.serve.models.registry import ModelRegistry, ServedModel
from chrion_runtime.serve.protocol import Answer, RawRequest
from chrion_runtime.serve.protocol.errors import NotFound, TooSlow
from chrion_runtime.serve.protocol.inflate import Buffer
from chrion_runtime.serve.request.call import InferCall
from chrion_runtime.serve.request.refusal import REASONS, refusal

INSIDE: Mapping[str, str] = {
    "_force_close": "whether nothing more is read: aiohttp ends the connection at once",
    "_close": "the same: it ends once what has begun is answered",
    "_waiter": "what aiohttp awaits while it has no request",
    "_messages": "requests that aiohttp has parsed and not begun with",
    "_next_keepalive_close_time": "when an idle connection is closed, to be moved on after an answer of ours",
    "_process_keepalive": "closes an idle connection; one that we are busy with is not",
}
"""All that is used here of aiohttp's RequestHandler and not in its documentation, and what for."""


def missing(handler: web.RequestHandler) -> list[str]:
    """What this aiohttp lacks of INSIDE."""
    return [name for name in INSIDE if not hasattr(handler, name)]


class _Incoming:
    """A plain request whose answer is not written yet, with what has come of its body."""

    def __init__(self, head: PlainHead, call: InferCall) -> None:
        self.head = head
        self.call = call
        self.left = head.length
        """Bytes of the body that are still to come."""
        self.parts: list[bytes | memoryview] = []
        self.task: asyncio.Task[Answer] | None = None
        self.timer: asyncio.TimerHandle | None = None

    def take(self, data: bytes | memoryview) -> None:
        """A part of the body. Raises TooMuch."""
        size = len(data)
        self.call.take(size)
        self.parts.append(data)
        self.left -= size

    def body(self) -> bytes | memoryview:
        """The whole body; copied only where it came in parts."""
        parts, self.parts = self.parts, []
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def end(self, error: BaseException | None) -> None:
        """It is over, with an answer or an error."""
        if self.timer is not None:
            self.timer.cancel()
        self.call.end(error)


class Connection(JsonErrors):
    """aiohttp's protocol of one connection, with the short way beside it."""

    __slots__ = ("_event_loop", "_held", "_incoming", "_plain", "_registry", "_write_timer")

    def __init__(
        self, registry: ModelRegistry, manager: web.Server, *, loop: asyncio.AbstractEventLoop, **options: Any
    ) -> None:
        super().__init__(manager, loop=loop, **options)
        self._event_loop = loop
        self._registry = registry
        self._incoming: _Incoming | None = None
        self._plain = True
        """Whether aiohttp's parser is certain to be between two messages."""
        self._held = b""
        """What came behind a plain request that is not answered yet."""
        self._write_timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        if self._force_close or self._close:
            return
        if not data:
            # aiohttp's own, to have its parser go on with what it holds.
            super().data_received(data)
            return
        incoming = self._incoming
        if incoming is not None:
            if incoming.left:
                self._read(incoming, data, 0)
            else:
                self._hold(data)
            return
        if self.writing_paused:
            # The answer before has not been read yet.
            self._hold(data)
            return
        if self._plain:
            head = plain_head(data)
            if head is not None and self._idle and (model := self._known(head)) is not None:
                self._begin(head, model, data)
                return
            whole = is_plain_get(data) if head is None else head.end + head.length == len(data)
            self._plain = whole
        super().data_received(data)

    @property
    def _idle(self) -> bool:
        """Whether aiohttp waits for a request."""
        waiter = self._waiter
        return waiter is not None and not waiter.done() and not self._messages

    def _known(self, head: PlainHead) -> ServedModel | None:
        """The model, unless aiohttp shall refuse the request."""
        if head.length > self._registry.options.body_limit or not head.length:
            return None
        tokens = self._registry.access.tokens
        if tokens is not None and not tokens.allow(head.headers.get("authorization")):
            return None
        try:
            return self._registry.model(head.model, head.version)
        except NotFound:
            return None

    def _begin(self, head: PlainHead, model: ServedModel, data: bytes) -> None:
        self._registry.enter()
        incoming = self._incoming = _Incoming(head, InferCall(self._registry, model, head.headers))
        self._read(incoming, data, head.end)
        if self._incoming is incoming and incoming.left:
            incoming.timer = self._event_loop.call_later(self._registry.options.read_seconds, self._slow, incoming)

    def _read(self, incoming: _Incoming, data: bytes, start: int) -> None:
        end = start + incoming.left
        if len(data) > end:
            self._hold(data[end:])
        try:
            # The bytes of one read are the body's, where the body is all there: nothing is copied.
            incoming.take(memoryview(data)[start:end])
            if not incoming.left:
                self._ask(incoming)
        except Exception as error:  # noqa: BLE001, whatever it is, the client gets an answer
            self._refuse(incoming, error)

    def _slow(self, incoming: _Incoming) -> None:
        if self._incoming is incoming and incoming.left:
            self._refuse(incoming, TooSlow(self._registry.options.read_seconds))

    def _ask(self, incoming: _Incoming) -> None:
        body, headers = incoming.body(), incoming.head.headers
        raw = RawRequest(body, headers.get("inference-header-content-length"), headers.get("content-encoding", ""))
        outcome = incoming.call.answer(raw)
        if isinstance(outcome, Answer):
            self._send(incoming, outcome)
        else:
            incoming.task = self._event_loop.create_task(outcome)
            incoming.task.add_done_callback(self._answered)

    def _answered(self, task: "asyncio.Task[Answer]") -> None:
        incoming = self._incoming
        if incoming is None or incoming.task is not task:
            return
        if task.cancelled():
            self._incoming = None
            self._end(incoming, asyncio.CancelledError())
            self.force_close()
            return
        try:
            self._send(incoming, task.result())
        except Exception as error:  # noqa: BLE001, as in _read
            self._refuse(incoming, error)

    def _send(self, incoming: _Incoming, answer: Answer) -> None:
        size = answer.size
        kind = "application/json"
        more = ""
        if answer.header_length is not None:
            kind, more = "application/octet-stream", f"Inference-Header-Content-Length: {answer.header_length}\r\n"
        self._write(200, kind, size, more, answer.parts, close=False)
        incoming.call.sent(answer)
        self._over(incoming, None)

    def _refuse(self, incoming: _Incoming, error: Exception) -> None:
        found = refusal(error, f"POST /v2/models/{incoming.head.model}/infer", incoming.head.headers)
        more = "".join(f"{name}: {value}\r\n" for name, value in found.headers.items())
        body = found.body
        # What is left of a body would be taken for the next request.
        self._write(found.status, "application/json", len(body), more, (body,), close=incoming.left > 0)
        self._over(incoming, error)

    def _write(self, status: int, kind: str, size: int, more: str, parts: tuple[Buffer, ...], close: bool) -> None:
        transport = self.transport
        if transport is None:
            raise ConnectionResetError("the client has gone")
        if close or self._registry.draining:
            close = True
            more += "Connection: close\r\n"
        head = (
            f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: {kind}\r\n{more}Content-Length: {size}\r\n"
            f"Date: {_date(int(time()))}\r\n\r\n"
        )
        transport.writelines((head.encode("latin-1"), *parts))
        if close:
            self.close()
            transport.close()

    def _end(self, incoming: _Incoming, error: BaseException | None) -> None:
        incoming.end(error)
        self._registry.leave()

    def _over(self, incoming: _Incoming, error: Exception | None) -> None:
        """Answered: on to what came meanwhile."""
        self._incoming = None
        self._end(incoming, error)
        self._next_keepalive_close_time = self._event_loop.time() + self.keepalive_timeout
        if self.writing_paused:
            # Its client does not read.
            self._write_timer = self._event_loop.call_later(self._registry.options.write_seconds, self._unread)
        elif self._held:
            self._event_loop.call_soon(self._go_on)

    def _hold(self, data: bytes) -> None:
        self._held += data
        if self.transport is not None:
            self.transport.pause_reading()

    def _go_on(self) -> None:
        if self._incoming is not None or self.writing_paused or self.transport is None:
            return
        held, self._held = self._held, b""
        if held:
            self.transport.resume_reading()
            self.data_received(held)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        self._go_on()

    def _unread(self) -> None:
        self._write_timer = None
        if self.writing_paused and self.transport is not None:
            self.transport.abort()

    def _process_keepalive(self) -> None:
        if self._incoming is not None or self.writing_paused:
            # Not idle: these have timers of their own.
            self._next_keepalive_close_time = self._event_loop.time() + self.keepalive_timeout
        super()._process_keepalive()

    def connection_lost(self, exc: BaseException | None) -> None:
        incoming, self._incoming = self._incoming, None
        if self._write_timer is not None:
            self._write_timer.cancel()
        if incoming is not None:
            if incoming.task is not None:
                incoming.task.cancel()
            self._end(incoming, exc or ConnectionResetError("the client has gone"))
        super().connection_lost(exc)


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
