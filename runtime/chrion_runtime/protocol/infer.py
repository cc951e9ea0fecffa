"""One inference, from the bytes of a request to the bytes of its answer."""

from dataclasses import dataclass

from chrion_runtime.protocol.inflate import Buffer, inflate
from chrion_runtime.protocol.request import InferRequest, read_request
from chrion_runtime.protocol.response import Answer, write_answer
from chrion_runtime.protocol.signature import Signature
from chrion_runtime.servable import Servable


@dataclass(frozen=True)
class RawRequest:
    """A request as it came: the body, and the two headers that say how to read it."""

    body: Buffer
    header_length: str | None = None
    """Inference-Header-Content-Length."""
    encoding: str = ""
    """Content-Encoding."""


def infer(servable: Servable, signature: Signature, raw: RawRequest, limit: int) -> Answer:
    """Answer one request; blocks while the model runs. `limit` bounds the inflated body, in bytes.

    Raises ProtocolError, and RunError when the model fails.
    """
    return answer(servable, read(signature, raw, limit))


def read(signature: Signature, raw: RawRequest, limit: int) -> InferRequest:
    """The request that a body holds. Raises ProtocolError."""
    return read_request(inflate(raw.body, raw.encoding, limit), raw.header_length, signature)


def answer(servable: Servable, request: InferRequest) -> Answer:
    """Run the model for a request that was read. Raises ProtocolError, and RunError when the model fails."""
    outputs = [output.name for output in request.outputs]
    if request.sequence is None:
        results = servable.run(request.inputs, outputs)
    else:
        results = servable.run(request.inputs, outputs, request.sequence)
    return write_answer(servable.name, request, results)
