"""Files over HTTP as real stores serve them, with ranges and ETags, and with whatever can go wrong on the way."""

import asyncio
import hashlib
import re
import ssl
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from aiohttp import web

from tests.support.on_thread import served

Fault = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]


@dataclass
class FileServer:
    """Serves `files` on a free port of a loopback address, on a thread of its own, inside a `with` block."""

    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    """By path, what the next requests get in place of the file."""
    address: str = "127.0.0.1"
    tls: ssl.SSLContext | None = None
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    """Method, path and headers of each request."""

    def __enter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._stack = ExitStack()
        self.port = self._stack.enter_context(served(app, self.address, tls=self.tls))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def url(self, path: str, host: str = "") -> str:
        return f"{'https' if self.tls else 'http'}://{host or self.address}:{self.port}{path}"

    def asked(self, path: str) -> list[dict[str, str]]:
        """The headers of each request for a path."""
        return [headers for _, asked, headers in self.requests if asked == path]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path, dict(request.headers)))
        content = self.files.get(request.path)
        if faults := self.faults.get(request.path):
            return await faults.pop(0)(request, content or b"")
        if content is None:
            return web.Response(status=404)
        tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        headers = {"ETag": tag, "Accept-Ranges": "bytes"}
        wanted = re.fullmatch(r"bytes=([0-9]+)-([0-9]*)", request.headers.get("Range", ""))
        if wanted is None or request.headers.get("If-Range", tag) != tag:
            return web.Response(body=content, headers=headers)
        first, last = int(wanted[1]), min(int(wanted[2] or len(content) - 1), len(content) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        return web.Response(status=206, body=content[first : last + 1], headers=headers)


def status(code: int, **headers: str) -> Fault:
    """An answer without the file."""

    async def fault(request: web.Request, content: bytes) -> web.StreamResponse:
        return web.Response(status=code, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return fault


def cut(after: int, tag: str | None = None) -> Fault:
    """So many bytes of the file, and then the connection is lost; `tag` in place of the true ETag."""

    async def fault(request: web.Request, content: bytes) -> web.StreamResponse:
        true = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        response = web.StreamResponse(headers={"ETag": true if tag is None else tag})
        response.content_length = len(content)
        await response.prepare(request)
        await response.write(content[:after])
        assert request.transport is not None
        request.transport.close()
        return response

    return fault


async def endless(request: web.Request, content: bytes) -> web.StreamResponse:
    """A body that says nothing of its size and never ends."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(bytes(1 << 16))


async def silent(request: web.Request, content: bytes) -> web.StreamResponse:
    """Half of the file, and then nothing more."""
    response = web.StreamResponse()
    response.content_length = len(content)
    await response.prepare(request)
    await response.write(content[: len(content) // 2])
    while request.transport is not None and not request.transport.is_closing():
        await asyncio.sleep(0.05)
    return response
