"""One inference, from the bytes of a request to the bytes of its answer."""

from dataclasses import dataclass

from chrion_runtime.errors import RunError
from chrion_runtime.protocol.inflate import Buffer, inflate
from chrion_runtime.protocol.request import read_request
from chrion_runtime.protocol.response import Answer, write_answer
from chrion_runtime.protocol.signature import Signature
from chrion_runtime.servable import Servable, StageObserver


@dataclass(frozen=True)
class RawRequest:
    """A request as it came: the body, and the two headers that say how to read it."""

    body: Buffer
    header_length: str | None = None
    """Inference-Header-Content-Length."""
    encoding: str = ""
    """Content-Encoding."""


def infer(
    servable: Servable, signature: Signature, raw: RawRequest, limit: int, observer: StageObserver | None = None
) -> Answer:
    """Answer one request; blocks while the model runs. `limit` bounds the inflated body, in bytes.

    `observer` is called after each stage. Raises ProtocolError; RunError, with the request's id, if the model fails.
    """
    request = read_request(inflate(raw.body, raw.encoding, limit), raw.header_length, signature)
    try:
        results = servable.run(request.inputs, [output.name for output in request.outputs], observer)
    except RunError as error:
        error.request_id = request.id
        raise
    return write_answer(servable.name, request, results)
