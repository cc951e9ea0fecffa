"""The CRD is in sync with the types, structural, and refuses what the types refuse."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft4Validator

from chrion_api import ChrionModel, ConditionType, InvalidField, Reason
from chrion_operator.crd import FILE, definition, text
from chrion_operator.crd.reference import reference
from chrion_operator.manifests import Server
from chrion_operator.manifests.source import source
from tests.api.test_chrionmodel import EVERY_FIELD, with_spec
from tests.api.test_status import STATUS

ROOT = Path(__file__).parents[2]
VERSION: dict[str, Any] = definition()["spec"]["versions"][0]
SCHEMA: dict[str, Any] = VERSION["schema"]["openAPIV3Schema"]
VALIDATOR = Draft4Validator(SCHEMA)  # of JSON Schema's drafts the one that OpenAPI 3.0 is made of

JUNCTORS = ("allOf", "anyOf", "oneOf")
FORBIDDEN = {"$ref", "$defs", "definitions", "dependencies", "patternProperties", "uniqueItems", "readOnly", "const"}
VALUE_RULES = {"pattern", "minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength", "required", "enum"}


def fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field of a structural schema, by its path."""
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from fields(field, f"{path}.{name}")
    for inner in ("items", "additionalProperties"):
        if isinstance(schema.get(inner), dict):
            yield from fields(schema[inner], f"{path}[]")


@pytest.mark.parametrize("folder", ["crds", "charts/chrion/files/crds"])
def test_the_crd_is_in_sync(folder: str) -> None:
    written = (ROOT / folder / FILE).read_text(encoding="utf-8")
    assert written == text(), "the types changed: run `make schema` and commit what it wrote"
    assert yaml.safe_load(written) == definition()


def test_the_reference_is_in_sync() -> None:
    assert (ROOT / "docs" / "crd.md").read_text(encoding="utf-8") == reference(), "run `make schema`"


@pytest.mark.parametrize(
    ("path", "schema"), [*fields(SCHEMA)], ids=lambda value: value if isinstance(value, str) else ""
)
def test_the_schema_is_structural(path: str, schema: dict[str, Any]) -> None:
    # https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
    either = schema.get("x-kubernetes-int-or-string", False)
    free = schema.get("x-kubernetes-preserve-unknown-fields", False)
    assert isinstance(schema.get("type"), str) != (either or ("type" not in schema and free)), "rule 1: one type"
    assert not FORBIDDEN & set(schema), "rule 4"
    assert not ("properties" in schema and "additionalProperties" in schema)
    assert schema.get("additionalProperties") not in (True, False)
    for junctor in JUNCTORS:
        for branch in schema.get(junctor, ()):
            assert either or {"type", "default", "description"}.isdisjoint(branch), "rule 3: values alone"
    assert set(schema.get("not", {})) <= VALUE_RULES | {"properties"}, "rule 3: values alone"
    assert set(schema.get("not", {}).get("properties", {})) <= set(schema.get("properties", {})), "rule 2"
    keys = schema.get("x-kubernetes-list-map-keys", ())
    assert set(keys) <= set(schema.get("items", {}).get("required", ())), "keys of a list are required"
    if "default" in schema:
        Draft4Validator({key: value for key, value in schema.items() if key != "required"}).validate(schema["default"])
    for rule in schema.get("x-kubernetes-validations", ()):
        assert rule["rule"]
        assert "\n" not in rule["message"]


@pytest.mark.parametrize("part", ["spec", "status"])
def test_every_field_is_described(part: str) -> None:
    bare = [path for path, field in fields(SCHEMA["properties"][part], part) if not field.get("description")]
    assert [path for path in bare if not path.endswith("[]")] == []


def test_every_field_of_a_spec_is_known() -> None:
    known = {path for path, _ in fields(SCHEMA["properties"]["spec"], "spec")}

    def paths(value: Any, path: str) -> Iterator[str]:
        yield path
        if isinstance(value, dict) and not value.get("x"):
            for name, inner in value.items():
                yield from paths(inner, f"{path}.{name}")

    written = set(paths(yaml.safe_load(EVERY_FIELD)["spec"], "spec"))
    free = ("spec.planner.resources.", "spec.planner.nodeSelector.", "spec.planner.podTemplate.")
    assert {path for path in written if not path.startswith(free)} <= known


@pytest.mark.parametrize("document", [yaml.safe_load(EVERY_FIELD), with_spec(), with_spec(slo={"gpuMemory": 1000})])
def test_what_the_types_accept_is_accepted(document: dict[str, Any]) -> None:
    VALIDATOR.validate({**document, "status": STATUS})
    VALIDATOR.validate(ChrionModel.parse(document).to_data())


@pytest.mark.parametrize(
    "spec",
    [
        {"slo": {"latency": "20 bananas"}},
        {"slo": {"latency": 20}},
        {"slo": {"gpuMemory": "1500m"}},
        {"slo": {"gpuMemory": -1}},
        {"slo": {"gpuMemory": True}},
        {"slo": {"percentile": 100}},
        {"slo": {"percentile": 0}},
        {"slo": {"load": {"concurrency": 0}}},
        {"slo": {"load": {"concurrency": 1, "requestsPerSecond": 2}}},
        {"mode": "Fast"},
        {"model": {}},
        {"model": {"uri": "ftp://a"}},
        {"model": {"uri": "file://a", "sha256": "abc"}},
        {"inputs": {"name": "x"}},
        {"inputs": [{"shape": [1]}]},
        {"inputs": [{"name": "x", "shape": [-1]}]},
        {"inputs": [{"name": "x", "shape": [1], "shapes": [[1]]}]},
        {"runtime": {"replicas": -1}},
        {"runtime": {"maxUnavailable": 0}},
        {"devices": {"cpuLanes": -1}},
        {"planRef": {"name": ""}},
        {"planner": {"timeout": "soon"}},
        {"planner": {"nodeSelector": {"a": 1}}},
        {"planner": {"tolerations": {}}},
        {"runtime": {"resources": []}},
    ],
)
def test_what_the_types_refuse_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(InvalidField):
        ChrionModel.parse(with_spec(**spec))
    assert not VALIDATOR.is_valid(with_spec(**spec))


def broken(uri: str) -> dict[str, Any]:
    return {"model": {"uri": uri}}


AGAINST_RULES: dict[str, dict[str, Any]] = {
    "hf:// is written hf://OWNER/REPO/PATH[@REVISION]": broken("hf://owner/model.onnx"),
    "pvc:// is written pvc://CLAIM/PATH": broken("pvc://claim"),
    "configmap:// is written configmap://NAME/KEY": broken("configmap://name"),
    "oci:// is written oci://IMAGE#PATH": broken("oci://image"),
    "file:// is written file:///PATH, a path inside the image": broken("file://model.onnx"),
    "give each input one shape, or as many as there are buckets": {
        "inputs": [{"name": "x", "shapes": [[1], [2]]}, {"name": "y", "shapes": [[1], [2], [3]]}]
    },
    "give shape or shapes, not both": {"inputs": [{"name": "x", "shape": [1], "shapes": [[1]]}]},
    "give concurrency or requestsPerSecond, not both": {"slo": {"load": {"concurrency": 1, "requestsPerSecond": 2}}},
    "must be longer than zero": {"slo": {"latency": "0s"}},
}
"""A spec against each rule in CEL."""


def test_what_rules_refuse_the_operator_refuses_where_a_server_has_no_rules() -> None:
    rules = {rule["message"] for _, field in fields(SCHEMA) for rule in field.get("x-kubernetes-validations", ())}
    assert rules == set(AGAINST_RULES)
    for spec in AGAINST_RULES.values():
        with pytest.raises(InvalidField):
            source(ChrionModel.parse(with_spec(**spec)).spec.model.uri, Server(minor=33))


def test_defaults_are_those_of_the_types() -> None:
    def fill(schema: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
        """What an API server stores."""
        for name, field in schema.get("properties", {}).items():
            if name not in value and "default" in field:
                value[name] = dict(field["default"]) if field["default"] == {} else field["default"]
            if isinstance(value.get(name), dict):
                fill(field, value[name])
        return value

    filled = fill(SCHEMA, with_spec())
    assert filled["spec"] != with_spec()["spec"]
    assert ChrionModel.parse(filled) == ChrionModel.parse(with_spec())


def test_columns_and_the_scale_lead_to_fields() -> None:
    known = {path for path, _ in fields(SCHEMA)} | {".metadata.creationTimestamp"}
    scale = VERSION["subresources"]["scale"]
    paths = [column["jsonPath"] for column in VERSION["additionalPrinterColumns"]]
    for path in (*paths, scale["specReplicasPath"], scale["statusReplicasPath"], scale["labelSelectorPath"]):
        named = re.findall(r'@\.type=="(\w+)"', path)
        assert all(name in set(ConditionType) for name in named)
        assert re.sub(r"\[.*?\]\.", "[].", path) in known


def test_the_reference_tells_of_every_condition_and_reason() -> None:
    page = reference()
    assert all(f"| `{item.value}` |" in page for item in (*ConditionType, *Reason))
