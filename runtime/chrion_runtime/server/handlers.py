"""The endpoints: each takes an HTTP request apart, asks the models, and puts the answer together."""

from typing import Any

import orjson
from aiohttp import web
from prometheus_client.exposition import choose_encoder

from chrion_runtime.protocol import RawRequest
from chrion_runtime.protocol.errors import BadRequest, TooLarge
from chrion_runtime.protocol.metadata import model_metadata, server_metadata
from chrion_runtime.server.front import Front, ServedModel

FRONT = web.AppKey("front", Front)

HEADER_LENGTH = "Inference-Header-Content-Length"


def json_response(data: Any, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.Response(body=orjson.dumps(data), status=status, content_type="application/json")


async def server(_: web.Request) -> web.Response:
    """GET /v2"""
    return json_response(server_metadata())


async def live(_: web.Request) -> web.Response:
    """GET /v2/health/live"""
    return json_response({"live": True})


async def ready(request: web.Request) -> web.Response:
    """GET /v2/health/ready"""
    request.app[FRONT].check_ready()
    return json_response({"ready": True})


async def model(request: web.Request) -> web.Response:
    """GET /v2/models/{model}[/versions/{version}]"""
    served = _model(request)
    return json_response(model_metadata(served.servable.name, served.signature))


async def model_ready(request: web.Request) -> web.Response:
    """GET /v2/models/{model}[/versions/{version}]/ready"""
    served = _model(request)
    request.app[FRONT].check_ready()
    return json_response({"name": served.servable.name, "ready": True})


async def plan(request: web.Request) -> web.Response:
    """GET /v2/models/{model}[/versions/{version}]/plan"""
    return json_response(_model(request).servable.describe_plan())


async def infer(request: web.Request) -> web.Response:
    """POST /v2/models/{model}[/versions/{version}]/infer"""
    served = _model(request)
    with served.metrics.request() as watch:
        body = await _read(request, request.app[FRONT].options.body_limit)
        watch.start()
        served.metrics.received(len(body))
        headers = request.headers
        answer = await served.infer(RawRequest(body, headers.get(HEADER_LENGTH), headers.get("Content-Encoding", "")))
        del body
        if answer.header_length is None:
            response = web.Response(body=answer.body, content_type="application/json")
        else:
            response = web.Response(
                body=answer.body,
                content_type="application/octet-stream",
                headers={HEADER_LENGTH: str(answer.header_length)},
            )
        # Written here and not by aiohttp afterwards, so that writing is timed and waited for when draining.
        await response.prepare(request)
        await response.write_eof()
        served.servable.answered(watch.seconds)
        served.metrics.sent(len(answer.body))
    return response


async def metrics(request: web.Request) -> web.Response:
    """GET /metrics"""
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return web.Response(body=encode(request.app[FRONT].metrics.registry), headers={"Content-Type": content_type})


def _model(request: web.Request) -> ServedModel:
    names = request.match_info
    return request.app[FRONT].model(names["model"], names.get("version"))


async def _read(request: web.Request, limit: int) -> bytearray:
    if (request.content_length or 0) > limit:
        raise TooLarge(limit)
    body = bytearray()
    try:
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > limit:
                raise TooLarge(limit)
    except web.RequestPayloadError as error:
        raise BadRequest(f"the request body cannot be read: {error}") from None
    return body
