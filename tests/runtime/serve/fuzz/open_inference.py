"""The Open Inference Protocol's paths and answers as an OpenAPI document, written from its specification.

Source: kserve/open-inference-protocol, specification/protocol/inference_rest.md and open_inference_rest.yaml. Where
those two differ the more demanding one stands here: health answers have bodies by the first, shapes by the second.
"""

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_FLAG = {"type": "boolean"}


def _object(required, **properties):
    return {"type": "object", "required": required.split(), "properties": properties}


def _ref(name):
    return {"$ref": f"#/components/schemas/{name}"}


def _list(name):
    return {"type": "array", "items": _ref(name)}


_SHAPE = {"type": "array", "items": {"type": "integer"}}

SCHEMAS = {
    "live": _object("live", live=_FLAG),
    "ready": _object("ready", ready=_FLAG),
    "model_ready": _object("name ready", name=_TEXT, ready=_FLAG),
    "server": _object("name version extensions", name=_TEXT, version=_TEXT, extensions=_TEXTS),
    "tensor": _object("name datatype shape", name=_TEXT, datatype=_TEXT, shape=_SHAPE),
    "model": _object(
        "name platform inputs outputs",
        name=_TEXT,
        versions=_TEXTS,
        platform={"type": "string", "pattern": "^[a-z0-9]+_[a-z0-9]+$"},
        inputs=_list("tensor"),
        outputs=_list("tensor"),
    ),
    "data": {
        "type": "array",
        "items": {"anyOf": [_ref("data"), {"type": "number"}, _TEXT, _FLAG]},
    },
    "input": _object("name shape datatype data", name=_TEXT, shape=_SHAPE, datatype=_TEXT, data=_ref("data")),
    "output": _object("name shape datatype data", name=_TEXT, shape=_SHAPE, datatype=_TEXT, data=_ref("data")),
    "wanted": _object("name", name=_TEXT, parameters={"type": "object"}),
    "request": _object(
        "inputs", id=_TEXT, parameters={"type": "object"}, inputs=_list("input"), outputs=_list("wanted")
    ),
    "answer": _object(
        "model_name outputs",
        model_name=_TEXT,
        model_version=_TEXT,
        id=_TEXT,
        parameters={"type": "object"},
        outputs=_list("output"),
    ),
    "error": _object("error", error=_TEXT),
}

_MODEL = "/v2/models/{model}"
_OF_VERSION = _MODEL + "/versions/{version}"

PATHS = [
    ("get", "/v2/health/live", "live"),
    ("get", "/v2/health/ready", "ready"),
    ("get", "/v2/", "server"),
    ("get", "/v2", "server"),
    *(
        (method, base + end, answer)
        for base in (_MODEL, _OF_VERSION)
        for method, end, answer in (
            ("get", "", "model"),
            ("get", "/ready", "model_ready"),
            ("post", "/infer", "answer"),
        )
    ),
]
"""Each path's method and answer. The specification has the slash behind /v2, its clients leave it out."""


def document(models):
    """The document, with the names of the models that are served."""
    paths = {}
    for method, path, answer in PATHS:
        operation = {"responses": {"200": _json(answer), "400": _json("error"), "404": _json("error")}}
        names = {"model": {"enum": models}, "version": {"const": "1"}}
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": schema}
            for name, schema in names.items()
            if f"{{{name}}}" in path
        ]
        if method == "post":
            operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref("request")}}}
        paths[path] = {method: operation}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Open Inference Protocol", "version": "2"},
        "paths": paths,
        "components": {"schemas": SCHEMAS},
    }


def _json(schema):
    return {"description": schema, "content": {"application/json": {"schema": _ref(schema)}}}
