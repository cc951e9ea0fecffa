"""What the server says of itself and of a model."""

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from chrion_runtime.errors import RuntimeFailure
from chrion_runtime.serve.protocol.errors import NotFound
from chrion_runtime.serve.protocol.signature import Port, Signature

MODEL_VERSION = "1"
"""A server has one version of a model: the one its ChrionModel names."""

PLATFORM = "onnxruntime_onnx"
"""What the protocol calls ONNX models that answer as ONNX Runtime does; clients may know no other name."""

_TRITON_NAMES = {"BYTES": "STRING"}
"""Datatypes that Triton's configuration calls otherwise."""

EXTENSIONS = ("binary_tensor_data", "model_configuration", "sequence", "statistics")


def server_metadata() -> dict[str, Any]:
    """The answer to GET /v2."""
    return {"name": "chrion", "version": version("chrion"), "extensions": EXTENSIONS}


def model_metadata(name: str, signature: Signature) -> dict[str, Any]:
    """The answer to GET /v2/models/{name}."""
    return {
        "name": name,
        "versions": [MODEL_VERSION],
        "platform": PLATFORM,
        "inputs": _tensors(signature.inputs.values()),
        "outputs": _tensors(signature.outputs.values()),
    }


def triton_config(name: str, signature: Signature) -> dict[str, Any]:
    """The answer to GET /v2/models/{name}/config: Triton's model configuration, as far as its clients look at it.

    The first axis is among the dimensions, so the size of a batch is 0 there, which means that there is none.
    """
    return {
        "name": name,
        "platform": PLATFORM,
        "max_batch_size": 0,
        "input": _triton_tensors(signature.inputs.values()),
        "output": _triton_tensors(signature.outputs.values()),
    }


def check_name(model: str) -> None:
    """Raise RuntimeFailure for a name that the API's paths could not hold as it is."""
    if model in ("", ".", "..") or "/" in model or not model.isprintable():
        raise RuntimeFailure(
            f"model {model[:80]!r}: the name is part of the API's paths, so it must not be empty, . or .., or contain "
            "/ or control characters: choose another name"
        )


def check_version(model: str, asked: str | None) -> None:
    """Raise NotFound unless this version of the model, or any, was asked for."""
    if asked is not None and asked != MODEL_VERSION:
        raise NotFound(f'model "{model}" has no version "{asked[:40]}"; it has version {MODEL_VERSION}')


def _tensors(ports: Iterable[Port]) -> list[dict[str, Any]]:
    return [
        {
            "name": port.spec.name,
            "datatype": port.datatype,
            "shape": port.shape,
            **({"optional": True} if port.spec.optional else {}),
        }
        for port in ports
    ]


def _triton_tensors(ports: Iterable[Port]) -> list[dict[str, Any]]:
    return [
        {
            "name": port.spec.name,
            "data_type": f"TYPE_{_TRITON_NAMES.get(port.datatype, port.datatype)}",
            "dims": port.shape,
            **({"optional": True} if port.spec.optional else {}),
        }
        for port in ports
    ]
