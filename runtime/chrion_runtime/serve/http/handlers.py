"""The endpoints: each takes an HTTP request apart, asks the models, and puts the answer together."""

import asyncio
from typing import Any

import orjson
from aiohttp import web

from chrion_runtime.serve.http.keys import REGISTRY
from chrion_runtime.serve.http.openapi import HEADER_LENGTH
from chrion_runtime.serve.http.openapi import openapi as describe
from chrion_runtime.serve.models.registry import ServedModel
from chrion_runtime.serve.options import ServerOptions
from chrion_runtime.serve.protocol import Answer, RawRequest
from chrion_runtime.serve.protocol.errors import BadRequest, TooLarge, TooSlow
from chrion_runtime.serve.protocol.metadata import model_metadata, server_metadata, triton_config
from chrion_runtime.serve.request.call import InferCall


def json_response(data: Any, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.Response(body=orjson.dumps(data), status=status, content_type="application/json")


async def server(_: web.Request) -> web.Response:
    """GET /v2"""
    return json_response(server_metadata())


async def openapi(request: web.Request) -> web.Response:
    """GET /v2/openapi.json"""
    models = request.app[REGISTRY].models
    return json_response(describe((model.servable.name, model.signature) for model in models))


async def live(request: web.Request) -> web.Response:
    """GET /v2/health/live"""
    alive = request.app[REGISTRY].alive
    return json_response({"live": alive}, 200 if alive else 503)


async def ready(request: web.Request) -> web.Response:
    """GET /v2/health/ready"""
    request.app[REGISTRY].check_ready()
    return json_response({"ready": True})


async def model(request: web.Request) -> web.Response:
    """GET /v2/models/{model}[/versions/{version}]"""
    served = _model(request)
    return json_response(model_metadata(served.servable.name, served.signature))


async def model_config(request: web.Request) -> web.Response:
    """GET /v2/models/{model}[/versions/{version}]/config"""
    served = _model(request)
    return json_response(triton_config(served.servable.name, served.signature))


async def statistics(request: web.Request) -> web.Response:
    """GET /v2/models[/{model}[/versions/{version}]]/stats"""
    models = [_model(request)] if "model" in request.match_info else request.app[REGISTRY].models
    return json_response({"model_stats": [model.statistics() for model in models]})


async def model_ready(request: web.Request) -> web.Response:
    """GET /v2/models/{model}[/versions/{version}]/ready"""
    served, registry = _model(request), request.app[REGISTRY]
    if registry.draining:
        registry.check_ready()
    served.check_ready()
    return json_response({"name": served.servable.name, "ready": True})


async def plan(request: web.Request) -> web.Response:
    """GET /v2/models/{model}[/versions/{version}]/plan"""
    return json_response(_model(request).servable.describe_plan())


async def infer(request: web.Request) -> web.Response:
    """POST /v2/models/{model}[/versions/{version}]/infer"""
    registry = request.app[REGISTRY]
    with InferCall(registry, _model(request), request.headers) as call:
        body = await _read(request, registry.options, call)
        headers = request.headers
        raw = RawRequest(body, headers.get(HEADER_LENGTH), headers.get("Content-Encoding", ""))
        del body
        outcome = call.answer(raw)
        del raw
        answer = outcome if isinstance(outcome, Answer) else await outcome
        if answer.header_length is None:
            response = web.Response(body=answer.body, content_type="application/json")
        else:
            response = web.Response(
                body=answer.body,
                content_type="application/octet-stream",
                headers={HEADER_LENGTH: str(answer.header_length)},
            )
        # Written here and not by aiohttp afterwards, so that writing is timed and waited for when draining.
        try:
            async with asyncio.timeout(registry.options.write_seconds):
                await response.prepare(request)
                await response.write_eof()
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the client is not reading its answer") from None
        call.sent(answer)
    return response


async def metrics(request: web.Request) -> web.Response:
    """GET /metrics"""
    # Many series take milliseconds to write, which requests must not wait for.
    body, content_type = await asyncio.to_thread(
        request.app[REGISTRY].metrics.expose, request.headers.get("Accept", "")
    )
    return web.Response(body=body, headers={"Content-Type": content_type})


def _model(request: web.Request) -> ServedModel:
    names = request.match_info
    return request.app[REGISTRY].model(names["model"], names.get("version"))


async def _read(request: web.Request, options: ServerOptions, call: InferCall) -> bytearray:
    if (request.content_length or 0) > options.body_limit:
        raise TooLarge(options.body_limit)
    body = bytearray()
    try:
        async with asyncio.timeout(options.read_seconds):
            async for chunk in request.content.iter_any():
                call.take(len(chunk))
                body += chunk
                if len(body) > options.body_limit:
                    raise TooLarge(options.body_limit)
    except TimeoutError:
        raise TooSlow(options.read_seconds) from None
    except web.RequestPayloadError as error:
        raise BadRequest(f"the request body cannot be read: {error}") from None
    return body
