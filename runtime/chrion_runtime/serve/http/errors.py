"""What aiohttp itself refuses, said as everything else is: an object with the one key `error`."""

from http import HTTPStatus

import orjson
from aiohttp import web

from chrion_api.one_line import one_line

_JSON = "application/json"


async def say_as_json(request: web.Request, response: web.StreamResponse) -> None:
    """A hook before each response: paths, methods and expectations that aiohttp refuses come as text."""
    if isinstance(response, web.HTTPException):
        response.body = _body(f"{request.method} {request.path[:200]}: {response.reason}")
        response.content_type = _JSON
        response.charset = None
        response.headers["Content-Length"] = str(len(response.body))


class JsonErrors(web.RequestHandler):
    """aiohttp's protocol of one connection, which says in JSON why it cannot read a request."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        super().handle_error(request, status, exc, message)  # for its log
        text = HTTPStatus(status).phrase if message is None or status >= 500 else one_line(message, 200)
        response = web.Response(body=_body(text), status=status, content_type=_JSON)
        response.force_close()
        return response


def _body(text: str) -> bytes:
    return orjson.dumps({"error": text.encode(errors="replace").decode()})
