"""The endpoints of the model repository extension, off unless the server was given a folder.

Specification: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_repository.md
"""

from typing import Any

import orjson
from aiohttp import web

from chrion_runtime.serve.http.handlers import json_response
from chrion_runtime.serve.models.repository import Repository
from chrion_runtime.serve.protocol.errors import BadRequest, NotFound, TooLarge

REPOSITORY = web.AppKey("repository", Repository)

MOST_BYTES = 64 * 1024
"""The largest body; there is little to say."""


def add_repository(app: web.Application, repository: Repository | None) -> None:
    """Add the endpoints; without a repository they say that there is none."""
    if repository is not None:
        app[REPOSITORY] = repository
    app.router.add_post("/v2/repository/index", index)
    app.router.add_post("/v2/repository/models/{model}/load", load)
    app.router.add_post("/v2/repository/models/{model}/unload", unload)


async def index(request: web.Request) -> web.Response:
    """POST /v2/repository/index"""
    repository, body = _repository(request), await _body(request)
    ready = body.get("ready", False)
    if not isinstance(ready, bool):
        raise BadRequest("ready: must be true or false")
    return json_response(await repository.index(ready))


async def load(request: web.Request) -> web.Response:
    """POST /v2/repository/models/{model}/load"""
    repository, parameters = _repository(request), _parameters(await _body(request))
    if parameters:
        # Triton takes a configuration and files here: both would reach past the folder.
        raise BadRequest(f'parameters: "{min(parameters)[:80]}" is not supported; put files into the repository')
    await repository.load(request.match_info["model"])
    return web.Response()


async def unload(request: web.Request) -> web.Response:
    """POST /v2/repository/models/{model}/unload"""
    repository, parameters = _repository(request), _parameters(await _body(request))
    # Triton's clients always say whether models that depend on it go along; here none does.
    if other := parameters.keys() - {"unload_dependents"}:
        raise BadRequest(f'parameters: "{min(other)[:80]}" is not supported')
    await repository.unload(request.match_info["model"])
    return web.Response()


def _repository(request: web.Request) -> Repository:
    found = request.app.get(REPOSITORY)
    if found is None:
        raise NotFound("the model repository is off; start the server with --repository FOLDER")
    return found


def _parameters(body: dict[str, Any]) -> dict[str, Any]:
    parameters = body.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise BadRequest("parameters must be an object")
    return parameters


async def _body(request: web.Request) -> dict[str, Any]:
    data = bytearray()
    try:
        async for chunk in request.content.iter_any():
            data += chunk
            if len(data) > MOST_BYTES:
                raise TooLarge(MOST_BYTES, option="")
    except web.RequestPayloadError as error:
        raise BadRequest(f"the request body cannot be read: {error}") from None
    try:
        body = orjson.loads(data) if data.strip() else {}
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the request is not valid JSON: {error}") from None
    if not isinstance(body, dict):
        raise BadRequest("the request must be a JSON object")
    return body
