"""The page to look at, on the second port: what is served, by which plans, how fast, and what was moved.

Written by the server, kept up to date by a little script of its own; nothing comes from elsewhere, and the browser is
told to run and load nothing else.
"""

import asyncio
from collections.abc import Awaitable, Callable
from importlib import resources

import orjson
from aiohttp import web

from chrion_runtime.report import style
from chrion_runtime.serve.http.keys import REGISTRY
from chrion_runtime.serve.models.registry import ModelRegistry
from chrion_runtime.serve.page.document import live_page
from chrion_runtime.serve.page.now import now

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


def add_routes(app: web.Application) -> None:
    """Answer with the page at `/`, with its parts below `/page/`."""
    app.router.add_get("/", _page)
    app.router.add_get("/page/now.json", _now)
    for name in ("page.css", "page.js", "icon.svg"):
        app.router.add_get(f"/page/{name}", _part(name))


async def _page(request: web.Request) -> web.Response:
    return await _made(request, live_page, "text/html")


async def _now(request: web.Request) -> web.Response:
    return await _made(request, lambda registry: orjson.dumps(now(registry)), "application/json")


async def _made(request: web.Request, make: Callable[[ModelRegistry], str | bytes], kind: str) -> web.Response:
    # Off the event loop, for requests must not wait until large plans are drawn.
    body = await asyncio.to_thread(make, request.app[REGISTRY])
    return web.Response(
        body=body if isinstance(body, bytes) else body.encode(), content_type=kind, charset="utf-8", headers=_HEADERS
    )


def _part(name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Answers with a part of the page that is always the same."""
    text = resources.files("chrion_runtime.serve.page").joinpath(name).read_text(encoding="utf-8")
    if name == "page.css":
        text = f"{style()}{text}"

    async def answer(_: web.Request) -> web.Response:
        kind = _TYPES[name.rpartition(".")[2]]
        return web.Response(text=text, content_type=kind, charset="utf-8", headers=_HEADERS)

    return answer
