"""What is answered over gRPC where something is wrong: the same refusals as over HTTP, with gRPC's codes."""

import asyncio
from collections.abc import Mapping
from typing import Any

import grpc

from chrion_runtime.serve.protocol.errors import TooLate
from chrion_runtime.serve.request.refusal import refusal

CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    409: grpc.StatusCode.FAILED_PRECONDITION,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    415: grpc.StatusCode.UNIMPLEMENTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
"""The code for each HTTP status of an error."""


async def refuse(context: Any, error: Exception, what: str, headers: Mapping[str, str]) -> None:
    """End a call with an error; raises what gRPC wants raised then."""
    found = refusal(error, what, headers)
    # It would be what the client sees at its deadline anyway, only sooner.
    hurried = isinstance(error, TooLate) and error.hurried
    code = grpc.StatusCode.DEADLINE_EXCEEDED if hurried else CODES[found.status]
    hint = tuple((name.lower(), value) for name, value in found.headers.items())
    try:
        await context.abort(code, found.text, hint)
    except grpc.aio.InternalError:
        raise asyncio.CancelledError from None  # the client has gone
