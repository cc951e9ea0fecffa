"""A real receiver of OpenTelemetry traces by OTLP/HTTP, which keeps what it was sent."""

import asyncio
import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class Receiver:
    """Where it listens, and the spans that came, with the service that sent them."""

    url: str = ""
    spans: list[tuple[str, Span]] = field(default_factory=list)

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = attributes(resource.resource)["service.name"]
            self.spans += [(str(service), span) for scope in resource.scope_spans for span in scope.spans]


def attributes(holder: object) -> dict[str, object]:
    """The attributes of a span or a resource as plain values."""
    found: dict[str, object] = {}
    for item in holder.attributes:  # type: ignore[attr-defined]
        kind = item.value.WhichOneof("value")
        value = getattr(item.value, kind)
        found[item.key] = tuple(one.string_value for one in value.values) if kind == "array_value" else value
    return found


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a port of its own, on a thread of its own."""
    receiver, started, box = Receiver(), threading.Event(), {}

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        receiver.take(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
        return web.Response(content_type="application/x-protobuf")

    async def main() -> None:
        app = web.Application()
        app.router.add_post("/v1/traces", take)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        box["stop"] = lambda: loop.call_soon_threadsafe(stop.set)
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        started.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert started.wait(30)
    try:
        yield receiver
    finally:
        box["stop"]()
        thread.join(30)
