"""What is asked of a request in any of the protocol's forms, and said where it is not so."""

from collections.abc import Collection, Container, Mapping, Sequence
from typing import Any

from chrion_runtime.serve.protocol.errors import BadRequest
from chrion_runtime.serve.protocol.signature import MAX_RANK, MAX_SIZE, Signature

_UNSUPPORTED = {
    "classification": "classification is",
    "shared_memory_region": "shared memory is",
    "shared_memory_byte_size": "shared memory is",
    "shared_memory_offset": "shared memory is",
}


def check_tensor(kind: str, name: str, known: Collection[str], parameters: Mapping[str, Any]) -> str:
    """What errors call this `input` or `output`.

    Raises BadRequest where the model has none of that name, or a parameter asks for what there is not.
    """
    if name not in known:
        names = ", ".join(f'"{one}"' for one in known)
        raise BadRequest(f'{kind} "{name[:80]}": the model has no such {kind}; it has {names or "none"}')
    where = f'{kind} "{name}"'
    for key, what in _UNSUPPORTED.items():
        if key in parameters:
            raise BadRequest(f"{where}: {what} not supported; leave out the parameter {key}")
    return where


def check_new_input(where: str, name: str, given: Container[str], carried: Container[str]) -> None:
    """Raise BadRequest where an input is among those `given` before, or is state that the server keeps."""
    if name in given:
        raise BadRequest(f"{where}: is given twice")
    if name in carried:
        raise BadRequest(f"{where}: is state of the sequence, which the server keeps: leave it out")


def check_complete(given: Container[str], signature: Signature, carried: Container[str]) -> None:
    """Raise BadRequest where an input is missing that has no default."""
    missing = [
        name
        for name, port in signature.inputs.items()
        if name not in given and name not in carried and not port.spec.optional
    ]
    if missing:
        raise BadRequest(f'input "{missing[0]}": is missing')


def check_shape(where: str, shape: Sequence[int]) -> tuple[int, ...]:
    """The shape. Raises BadRequest where no array can have it."""
    if len(shape) > MAX_RANK:
        raise BadRequest(f"{where}: shape has {len(shape)} dimensions; at most {MAX_RANK} are allowed")
    for size in shape:
        if not 0 <= size <= MAX_SIZE:
            raise BadRequest(f"{where}: dimension {size} in shape is negative; it must be 0 or more")
    return tuple(shape)


def read_timeout(parameters: Mapping[str, Any]) -> float | None:
    """Seconds by Triton's request parameter, which is in microseconds; 0 is none. Raises BadRequest."""
    timeout = parameters.get("timeout")
    if timeout is None:
        return None
    if type(timeout) is not int or timeout < 0:
        raise BadRequest("parameters: timeout must be a number of microseconds")
    return timeout / 1e6 if timeout else None
