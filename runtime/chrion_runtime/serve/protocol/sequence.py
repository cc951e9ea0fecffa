"""A request's place in a sequence, as Triton's clients write it into its parameters."""

from typing import Any

from chrion_runtime.servable import SequenceStep
from chrion_runtime.serve.protocol.errors import BadRequest
from chrion_runtime.serve.protocol.signature import Signature

MAX_ID_LENGTH = 128
"""Characters of an id, as in Triton."""
MAX_ID = 2**64 - 1


def read_sequence(parameters: dict[str, Any], signature: Signature, scope: str = "") -> SequenceStep | None:
    """The sequence that a request is of; None for none, which an id of 0 or "" says too. Raises BadRequest.

    `scope` is what the id belongs to, where that is not the whole server.

    Models without state ignore sequences, as they do in Triton.
    """
    if not signature.state:
        return None
    key = parameters.get("sequence_id")
    start, end = (_flag(parameters, name) for name in ("sequence_start", "sequence_end"))
    if key is None or (key in (0, "") and not isinstance(key, bool)):
        if start or end:
            raise BadRequest("parameters: sequence_start and sequence_end need a sequence_id other than 0")
        return None
    # JSON's numbers beyond 64 bits are read as floating-point ones.
    if isinstance(key, bool) or not isinstance(key, int | str) or (isinstance(key, int) and not 0 < key <= MAX_ID):
        raise BadRequest(f"parameters: sequence_id must be an integer from 1 to {MAX_ID}, or a string")
    if isinstance(key, str) and len(key) > MAX_ID_LENGTH:
        raise BadRequest(f"parameters: sequence_id is longer than {MAX_ID_LENGTH} characters")
    return SequenceStep(key, start, end, scope)


def _flag(parameters: dict[str, Any], name: str) -> bool:
    value = parameters.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadRequest(f"parameters: {name} must be true or false")
    return bool(value)
