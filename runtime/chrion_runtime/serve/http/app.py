"""The two applications: the inference API, and metrics with the health checks."""

from collections.abc import Awaitable, Callable

from aiohttp import HttpVersion11, web

from chrion_runtime.serve import page
from chrion_runtime.serve.access import OPEN_PATHS
from chrion_runtime.serve.http import handlers
from chrion_runtime.serve.http.errors import say_as_json
from chrion_runtime.serve.http.keys import REGISTRY
from chrion_runtime.serve.http.repository import add_repository
from chrion_runtime.serve.models.registry import ModelRegistry
from chrion_runtime.serve.models.repository import Repository
from chrion_runtime.serve.protocol.errors import Unauthorized
from chrion_runtime.serve.request.refusal import refusal

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build_app(registry: ModelRegistry, repository: Repository | None = None) -> web.Application:
    """The inference API, and where there is a repository, what loads and unloads its models.

    Request bodies must reach it as they were sent: run it with `auto_decompress=False`, as `lifecycle` does.
    """
    app = web.Application(middlewares=[_in_flight, _errors, _allowed])
    app[REGISTRY] = registry
    app.on_response_prepare.extend((say_as_json, _close_where_due))
    for root in ("/v2", "/v2/"):
        app.router.add_get(root, handlers.server)
    app.router.add_get("/v2/openapi.json", handlers.openapi)
    _add_health(app)
    app.router.add_get("/v2/models/stats", handlers.statistics)
    for model in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        app.router.add_post(f"{model}/infer", handlers.infer)
        app.router.add_get(model, handlers.model)
        app.router.add_get(f"{model}/config", handlers.model_config)
        app.router.add_get(f"{model}/stats", handlers.statistics)
        app.router.add_get(f"{model}/ready", handlers.model_ready)
        app.router.add_get(f"{model}/plan", handlers.plan)
    add_repository(app, repository)
    return app


def build_metrics_app(registry: ModelRegistry) -> web.Application:
    """The page to look at, metrics and health, for the second port; answers until the very end."""
    app = web.Application(middlewares=[_errors, _allowed])
    app[REGISTRY] = registry
    app.on_response_prepare.append(say_as_json)
    app.router.add_get("/metrics", handlers.metrics)
    page.add_routes(app)
    _add_health(app)
    return app


def _add_health(app: web.Application) -> None:
    app.router.add_get("/v2/health/live", handlers.live)
    app.router.add_get("/v2/health/ready", handlers.ready)


@web.middleware
async def _in_flight(request: web.Request, handler: Handler) -> web.StreamResponse:
    with request.app[REGISTRY].busy():
        return await handler(request)


@web.middleware
async def _allowed(request: web.Request, handler: Handler) -> web.StreamResponse:
    tokens = request.app[REGISTRY].access.tokens
    if tokens is not None and request.path not in OPEN_PATHS and not tokens.allow(request.headers.get("Authorization")):
        raise Unauthorized
    return await handler(request)


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error is an object with the one key `error`."""
    try:
        return await handler(request)
    except (web.HTTPException, ConnectionError):
        raise
    except Exception as error:  # noqa: BLE001, whatever it is, the client gets an answer
        found = refusal(error, f"{request.method} {request.path}", request.headers)
        response = web.Response(body=found.body, status=found.status, content_type="application/json")
        response.headers.update(found.headers)
        return response


async def _close_where_due(request: web.Request, response: web.StreamResponse) -> None:
    # HTTP/1.0 has no chunks: who sends them may see another end of the body than a proxy before us (RFC 9112, 6.1).
    chunked = request.version < HttpVersion11 and "Transfer-Encoding" in request.headers
    if chunked or request.app[REGISTRY].draining:
        response.force_close()
        response.headers["Connection"] = "close"
