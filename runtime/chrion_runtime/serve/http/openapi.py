"""The HTTP API as an OpenAPI 3.1 document, with the models that are served and a request for each that it takes."""

from collections.abc import Iterable
from importlib.metadata import version
from math import prod
from typing import Any

from chrion_runtime.serve.protocol.datatypes import DTYPES
from chrion_runtime.serve.protocol.metadata import MODEL_VERSION
from chrion_runtime.serve.protocol.signature import MAX_RANK, Port, Signature

Data = dict[str, Any]

HEADER_LENGTH = "Inference-Header-Content-Length"

_ERRORS = {
    400: "The request is not well formed, or does not fit the model.",
    404: "No such model or version.",
    409: "The state of the sequence is not here.",
    408: "The body did not arrive in time.",
    413: "The body exceeds the limit, or the request needs more memory than all may use.",
    415: "A Content-Encoding that is neither gzip nor deflate.",
    500: "The model failed, or the server has a bug; its log says more.",
    503: "Not now: too many requests wait, or the answer would come too late, or the server is shutting down.",
}

_EXAMPLE_VALUES = 4096
"""No example has more values than this."""


def openapi(models: Iterable[tuple[str, Signature]]) -> Data:
    """The document for the models that are served, by name."""
    served = dict(models)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Chrion",
            "version": version("chrion"),
            "description": "The Open Inference Protocol v2 with the binary tensor extension.",
        },
        "paths": {
            "/v2": {"get": _get("server", "The server's name, version and extensions", "ServerMetadata")},
            "/v2/": {"get": _get("serverRoot", "The same", "ServerMetadata")},
            "/v2/openapi.json": {"get": _get("openapi", "This document")},
            "/v2/health/live": {"get": _get("live", "Whether the process is alive", "Live")},
            "/v2/health/ready": {"get": _get("ready", "Whether the server takes requests", "Ready", 503)},
            "/v2/models/stats": {"get": _get("allStatistics", "What was asked of all models", "Statistics")},
            **_model_paths(served, "/v2/models/{model}", "", [_name(served)]),
            **_model_paths(
                served, "/v2/models/{model}/versions/{version}", "OfVersion", [_name(served), _path_version()]
            ),
            **_repository_paths(),
        },
        "components": {"schemas": _SCHEMAS},
    }


def _model_paths(served: dict[str, Signature], path: str, suffix: str, parameters: list[Data]) -> Data:
    def shared(operation: Data) -> Data:
        return {"parameters": parameters, **operation}

    return {
        path: shared({"get": _get(f"model{suffix}", "The model's inputs and outputs", "ModelMetadata", 404)}),
        f"{path}/config": shared(
            {"get": _get(f"config{suffix}", "The same in the words of Triton's configuration", "ModelConfig", 404)}
        ),
        f"{path}/stats": shared({"get": _get(f"statistics{suffix}", "What was asked of the model", "Statistics", 404)}),
        f"{path}/ready": shared(
            {"get": _get(f"modelReady{suffix}", "Whether the model is ready", "ModelReady", 404, 503)}
        ),
        f"{path}/plan": shared({"get": _get(f"plan{suffix}", "The plan in use, and why", "PlanInUse", 404)}),
        f"{path}/infer": shared({"post": _infer(served, f"infer{suffix}")}),
    }


def _repository_paths() -> Data:
    def post(identity: str, summary: str, schema: Data, answer: Data) -> Data:
        body = {"required": False, "content": {"application/json": {"schema": schema}}}
        responses = {"200": answer, **_errors((400, 404, 413, 503))}
        return {"post": {"operationId": identity, "summary": summary, "requestBody": body, "responses": responses}}

    done = {"description": "Done"}
    name = {"name": "model", "in": "path", "required": True, "schema": _STRING}
    parameters = {"type": ["object", "null"], "properties": {"unload_dependents": {}}}
    index = _json("The models that are served, and those that could be", _ref("RepositoryIndex"))
    loaded = post("load", "Load a model from the repository", _object(parameters=_object()), done)
    unloaded = post("unload", "Unload a model", _object(parameters=parameters), done)
    return {
        "/v2/repository/index": post("repositoryIndex", "What can be loaded", _object(ready=_FLAG), index),
        "/v2/repository/models/{model}/load": {"parameters": [name], **loaded},
        "/v2/repository/models/{model}/unload": {"parameters": [name], **unloaded},
    }


def _get(identity: str, summary: str, schema: str | None = None, *errors: int) -> Data:
    answer = {"type": "object"} if schema is None else _ref(schema)
    return {
        "operationId": identity,
        "summary": summary,
        "responses": {"200": _json("OK", answer), **_errors(errors)},
    }


def _infer(served: dict[str, Signature], identity: str) -> Data:
    examples = {name: {"value": example} for name, one in served.items() if (example := _example(one)) is not None}
    size = {"schema": {"type": "integer", "minimum": 0}, "description": "Bytes of the JSON; binary tensors follow it."}
    return {
        "operationId": identity,
        "summary": "Run the model on tensors",
        "parameters": [
            {"name": HEADER_LENGTH, "in": "header", "required": False, **size},
            {
                "name": "X-Request-Timeout-Ms",
                "in": "header",
                "required": False,
                "schema": {"type": "integer", "minimum": 0, "maximum": 10**11 - 1},
                "description": "The client's deadline in milliseconds; 0 means none.",
            },
        ],
        "requestBody": {
            "required": True,
            "description": f"JSON; with the header {HEADER_LENGTH}, followed by binary tensors.",
            "content": {
                "application/json": {
                    "schema": _ref("InferRequest"),
                    **({"examples": examples} if examples else {}),
                },
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            },
        },
        "responses": {
            "200": {
                "description": f"The outputs. Binary tensors follow the JSON, whose length is in {HEADER_LENGTH}.",
                "headers": {HEADER_LENGTH: {"required": False, **size}},
                "content": {
                    "application/json": {"schema": _ref("InferAnswer")},
                    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
                },
            },
            **_errors(_ERRORS),
        },
    }


def _example(signature: Signature) -> Data | None:
    """A request of ones that fits; None where JSON cannot hold the model's inputs, or not briefly."""
    inputs = []
    for name, port in signature.inputs.items():
        shape = [1 if size is None else size for size in port.spec.shape or ()]
        value = _example_value(port)
        if value is None or prod(shape) > _EXAMPLE_VALUES:
            return None
        inputs.append({"name": name, "datatype": port.datatype, "shape": shape, "data": [value] * prod(shape)})
    return {"inputs": inputs}


def _example_value(port: Port) -> bool | int | float | str | None:
    match port.spec.dtype.kind:
        case "b":
            return True
        case "O":
            return "text"
        case "f":
            return None if port.datatype == "FP16" else 1.0
    return 1


def _errors(statuses: Iterable[int]) -> Data:
    found = {str(status): _json(_ERRORS[status], _ref("Error")) for status in statuses}
    if "503" in found:
        found["503"]["headers"] = {
            "Retry-After": {
                "required": False,
                "description": "Seconds to wait before trying again.",
                "schema": {"type": "integer", "minimum": 1},
            }
        }
    return found


def _json(description: str, schema: Data) -> Data:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _ref(name: str) -> Data:
    return {"$ref": f"#/components/schemas/{name}"}


def _name(served: dict[str, Signature]) -> Data:
    schema: Data = {"type": "string"}
    if served:
        schema["enum"] = list(served)
    return {"name": "model", "in": "path", "required": True, "schema": schema}


def _path_version() -> Data:
    return {"name": "version", "in": "path", "required": True, "schema": {"type": "string", "enum": [MODEL_VERSION]}}


def _object(required: Iterable[str] = (), **properties: Data) -> Data:
    return {"type": "object", "required": list(required), "properties": properties}


def _closed(**properties: Data) -> Data:
    return {**_object(properties, **properties), "additionalProperties": False}


def _list(items: Data, **more: Any) -> Data:
    return {"type": "array", "items": items, **more}


_STRING: Data = {"type": "string"}
_SHAPE = _list({"type": "integer", "minimum": 0, "maximum": 2**63 - 1}, maxItems=MAX_RANK)
_DATATYPE: Data = {"type": "string", "enum": list(DTYPES)}
_BINARY_SIZE: Data = {"type": "integer", "minimum": 0, "description": "Bytes of the tensor after the JSON."}
_FLAG: Data = {"type": "boolean"}
_OPEN_SHAPE = _list({"type": "integer", "minimum": -1})
_TENSOR: Data = {
    **_object(("name", "datatype", "shape"), name=_STRING, datatype=_DATATYPE, shape=_OPEN_SHAPE, optional=_FLAG),
    "additionalProperties": False,
}
_CONFIG_TENSOR: Data = {
    **_object(("name", "data_type", "dims"), name=_STRING, data_type=_STRING, dims=_OPEN_SHAPE, optional=_FLAG),
    "additionalProperties": False,
}

_COUNT: Data = {"type": "integer", "minimum": 0}
_DURATION = _closed(count=_COUNT, ns=_COUNT)
_STATISTICS = _closed(
    name=_STRING,
    version=_STRING,
    last_inference={**_COUNT, "description": "Milliseconds since 1970; 0 where nothing was answered."},
    inference_count=_COUNT,
    execution_count=_COUNT,
    inference_stats=_closed(
        success=_DURATION,
        fail=_DURATION,
        queue=_DURATION,
        compute_input=_DURATION,
        compute_infer=_DURATION,
        compute_output=_DURATION,
        cache_hit=_DURATION,
        cache_miss=_DURATION,
    ),
    batch_stats=_list({}),
)

_SCHEMAS: Data = {
    "Error": _closed(error={"type": "string", "minLength": 1}),
    "Live": _closed(live={"const": True}),
    "Ready": _closed(ready={"const": True}),
    "ServerMetadata": _closed(name=_STRING, version=_STRING, extensions=_list(_STRING)),
    "ModelReady": _closed(name=_STRING, ready={"const": True}),
    "ModelMetadata": _closed(
        name=_STRING, versions=_list(_STRING), platform=_STRING, inputs=_list(_TENSOR), outputs=_list(_TENSOR)
    ),
    "ModelConfig": _closed(
        name=_STRING,
        platform=_STRING,
        max_batch_size={"const": 0},
        input=_list(_CONFIG_TENSOR),
        output=_list(_CONFIG_TENSOR),
    ),
    "Statistics": _closed(model_stats=_list(_STATISTICS)),
    "PlanInUse": {"type": "object"},
    "RepositoryIndex": _list(_closed(name=_STRING, version=_STRING, state=_STRING, reason=_STRING)),
    "InferRequest": _object(
        ["inputs"],
        id={"type": ["string", "null"]},
        parameters={
            "type": ["object", "null"],
            "properties": {
                "binary_data_output": _FLAG,
                "timeout": {"type": ["integer", "null"], "minimum": 0, "description": "Microseconds; 0 means none."},
                "sequence_id": {"description": "An integer or a string; models without state ignore it."},
                "sequence_start": {"description": "Whether the sequence begins."},
                "sequence_end": {"description": "Whether the sequence ends."},
            },
        },
        inputs=_list(_ref("InputTensor")),
        outputs={"type": ["array", "null"], "items": _ref("RequestedOutput")},
    ),
    "InputTensor": _object(
        ["name", "datatype", "shape"],
        name=_STRING,
        datatype=_DATATYPE,
        shape=_SHAPE,
        parameters={"type": ["object", "null"], "properties": {"binary_data_size": _BINARY_SIZE}},
        data={"description": "Values in row-major order, flat or nested by shape."},
    ),
    "RequestedOutput": _object(
        ["name"],
        name=_STRING,
        parameters={"type": ["object", "null"], "properties": {"binary_data": _FLAG}},
    ),
    "InferAnswer": _object(
        ["model_name", "model_version", "outputs"],
        model_name=_STRING,
        model_version=_STRING,
        id=_STRING,
        outputs=_list(
            _object(
                ["name", "datatype", "shape"],
                name=_STRING,
                datatype=_DATATYPE,
                shape=_SHAPE,
                data=_list({}),
                parameters=_closed(binary_data_size=_BINARY_SIZE),
            )
        ),
    ),
}
