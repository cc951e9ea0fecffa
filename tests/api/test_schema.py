"""The JSON Schemas accept what the types accept, refuse what they refuse, and describe every field."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from chrion_api import ChrionModel, Document, InvalidField, PlanFile, Profile, Status
from chrion_api.schema import DOCUMENTS, schema
from tests.api.test_chrionmodel import EVERY_FIELD, with_spec
from tests.api.test_plan import plan_files, profiles
from tests.api.test_status import STATUS

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
VALIDATORS = {name: Draft202012Validator(schema(name)) for name in DOCUMENTS}


def accepted(document: type[Document], data: Any) -> bool:
    try:
        document.parse(data)
    except InvalidField:
        return False
    return True


@pytest.mark.parametrize("name", DOCUMENTS)
def test_schema_is_a_schema(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))


@pytest.mark.parametrize("text", [EVERY_FIELD, *(path.read_text(encoding="utf-8") for path in EXAMPLES)])
def test_examples_are_accepted(text: str) -> None:
    VALIDATORS["chrionmodel"].validate(yaml.safe_load(text))
    VALIDATORS["chrionmodel"].validate(ChrionModel.from_yaml(text).to_data())


def test_status_is_accepted() -> None:
    model = ChrionModel.parse(with_spec()).model_copy(update={"status": Status.parse(STATUS)})
    VALIDATORS["chrionmodel"].validate(model.to_data())


@settings(deadline=None, max_examples=30)
@given(plan_files)
def test_plan_files_are_accepted(file: PlanFile) -> None:
    VALIDATORS["plan"].validate(file.to_data())


@settings(deadline=None, max_examples=30)
@given(profiles)
def test_profiles_are_accepted(profile: Profile) -> None:
    VALIDATORS["profile"].validate(profile.to_data())


@pytest.mark.parametrize(
    "fields",
    [
        {"slo": {"latency": "20 bananas"}},
        {"slo": {"latency": 20}},
        {"slo": {"gpuMemory": "1500m"}},
        {"slo": {"gpuMemory": -1}},
        {"slo": {"percentile": 100}},
        {"slo": {"percentile": 0}},
        {"slo": {"load": {"concurrency": 0}}},
        {"slo": {"load": {"concurrency": 1, "requestsPerSecond": 2}}},
        {"mode": "Fast"},
        {"model": {}},
        {"model": {"uri": "ftp://a"}},
        {"model": {"uri": "https://"}},
        {"model": {"uri": "file://a", "sha256": "abc"}},
        {"inputs": {"name": "x"}},
        {"inputs": [{"shape": [1]}]},
        {"inputs": [{"name": "x", "shape": [-1]}]},
        {"inputs": [{"name": "x", "shape": [1], "shapes": [[1]]}]},
        {"inputs": [{"name": "x", "value": "many"}]},
        {"runtime": {"replicas": -1}},
        {"devices": {"cpuLanes": -1}},
        {"planRef": {"name": ""}},
        {"unknown": 1},
    ],
)
def test_what_the_types_refuse_the_schema_refuses(fields: dict[str, Any]) -> None:
    assert not accepted(ChrionModel, with_spec(**fields))
    assert not VALIDATORS["chrionmodel"].is_valid(with_spec(**fields))


@pytest.mark.parametrize("fields", [{}, {"slo": {"gpuMemory": 1000}}, {"slo": {"gpuMemory": "1e9"}}])
def test_what_the_types_accept_the_schema_accepts(fields: dict[str, Any]) -> None:
    assert accepted(ChrionModel, with_spec(**fields))
    assert VALIDATORS["chrionmodel"].is_valid(with_spec(**fields))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_field_is_described(name: str) -> None:
    whole = schema(name)
    for kind in (whole, *whole["$defs"].values()):
        for field, value in kind.get("properties", {}).items():
            # A field that is described as its type is leaves it to the type.
            described = value.get("description") or whole["$defs"][value["$ref"].rpartition("/")[2]].get("description")
            assert described, f"{kind['title']}.{field}"
