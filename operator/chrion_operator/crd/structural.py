"""Structural: a pydantic model's JSON Schema as the structural OpenAPI schema that a CRD must have.

No references, no type but one, nothing but limits inside `not`; see
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

from collections.abc import Mapping, Sequence
from typing import Any

from chrion_api import Document
from chrion_api.crd import CRD

Schema = dict[str, Any]

KEPT = (
    "description", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems",
    "required", "not",
)  # fmt: skip
"""Keywords that mean the same in both."""

STRICT = {"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"}
"""JSON Schema gives the bound itself, OpenAPI 3.0 a flag beside it."""

ANY: Schema = {"x-kubernetes-preserve-unknown-fields": True}


def structural(document: type[Document]) -> Schema:
    """The schema of a document, with what `in_crd` says of its fields."""
    whole = document.model_json_schema(by_alias=True)
    return _schema(whole, whole.get("$defs", {}))


def _schema(node: Schema, defs: Mapping[str, Schema]) -> Schema:
    resolved = _resolved(node, defs)
    choices = [choice for choice in resolved.get("anyOf", ()) if choice.get("type") != "null"]
    if len(choices) == 1:
        return _schema({**{key: value for key, value in resolved.items() if key != "anyOf"}, **choices[0]}, defs)
    schema = {key: resolved[key] for key in KEPT if key in resolved}
    if "description" in schema:
        schema["description"] = " ".join(schema["description"].split())
    if "const" in resolved:
        schema["enum"] = [resolved["const"]]
    if choices:
        schema |= _any_of(choices)
    else:
        schema |= _typed(resolved, defs)
    default = _default(resolved, schema)
    schema |= {} if default is None else {"default": default}
    if CRD in resolved:
        schema |= _in_crd(**resolved[CRD])
    return {keyword: value for keyword, value in schema.items() if value is not None}


def _in_crd(rules: Sequence[Sequence[str]], key: str, keywords: Schema) -> Schema:
    """What `in_crd` was told of a field, in Kubernetes' keywords."""
    found = dict(keywords)
    if key:
        found |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}
    if rules:
        found["x-kubernetes-validations"] = [{"rule": rule, "message": message} for rule, message in rules]
    return found


def _resolved(node: Schema, defs: Mapping[str, Schema]) -> Schema:
    """The node with what it refers to; its own keywords come first."""
    while "$ref" in node:
        target = defs[node["$ref"].rpartition("/")[2]]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return node


def _any_of(choices: list[Schema]) -> Schema:
    """Kubernetes knows one choice, of whole numbers and strings; any other is left to the operator."""
    types = sorted(choice.get("type", "") for choice in choices)
    if types != ["integer", "string"]:
        return dict(ANY)
    limits = {key: value for choice in choices for key, value in choice.items() if key in KEPT}
    return {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}], **limits}


def _typed(resolved: Schema, defs: Mapping[str, Schema]) -> Schema:
    schema: Schema = {"type": resolved["type"]}
    for keyword, bound in STRICT.items():
        if keyword in resolved:
            schema |= {bound: resolved[keyword], keyword: True}
    if resolved["type"] == "array":
        schema["items"] = _schema(resolved["items"], defs)
    if resolved["type"] == "object":
        others = resolved.get("additionalProperties", False)
        if "properties" in resolved:
            schema["properties"] = {name: _schema(field, defs) for name, field in resolved["properties"].items()}
        elif isinstance(others, dict):
            schema["additionalProperties"] = _schema(others, defs)
        if others is True:
            schema |= ANY
    return schema


def _default(resolved: Schema, schema: Schema) -> Any:
    """The default that the server fills in; None where the absence of the field says as much."""
    default = resolved.get("default")
    if isinstance(default, dict):
        # The defaults of its own fields fill it.
        return {} if any("default" in field for field in schema.get("properties", {}).values()) else None
    return None if default in ("", []) else default
