"""Reading requests and writing answers in a process of its own: what is called there.

Apart from the server, so that the process has little to import before it is ready.
"""

from collections.abc import Mapping
from functools import lru_cache

from chrion_runtime.servable import Array, TensorSpec
from chrion_runtime.serve.protocol.raw_request import Unread, Write
from chrion_runtime.serve.protocol.request import InferRequest
from chrion_runtime.serve.protocol.response import Answer
from chrion_runtime.serve.protocol.signature import Signature

Specs = tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...], tuple[tuple[str, str], ...]]
"""What a signature is made of: inputs, outputs, and state as outputs with their inputs."""


def ready() -> None:
    """Nothing: whoever can be asked this can be asked more."""


def read(raw: Unread, specs: Specs) -> InferRequest:
    """What a plain request says. Raises BadRequest, TooCostly."""
    return raw.read(_signature(specs))


def write(write: Write, model: str, request: InferRequest, results: Mapping[str, Array]) -> Answer:
    """The answer that `write` writes. Raises what it raises."""
    return write(model, request, results)


@lru_cache(maxsize=64)
def _signature(specs: Specs) -> Signature:
    inputs, outputs, state = specs
    return Signature(inputs, outputs, dict(state))
