"""Specs that must not be followed end in InvalidSpec with one short sentence that names the field."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from chrion_api import ChrionModelSpec, InvalidField
from chrion_operator.crd import definition
from chrion_operator.manifests import Server, deployment, planner_job
from chrion_operator.nodes import NodeClass
from chrion_operator.reconcile import Observed, decide
from chrion_operator.settings import Settings
from tests.support.hostile.specs import REFUSED_BY_OPERATOR, REFUSED_BY_SCHEMA, TEMPLATES_THAT_NO_SERVER_HAS
from tests.support.objects import MODEL_DIGEST, owner
from tests.support.world import World

SMALLEST = {"model": {"uri": "https://models.example/a.onnx"}}
TEMPLATES = {what: {"planner": {"podTemplate": one}} for what, one in TEMPLATES_THAT_NO_SERVER_HAS.items()}
ALL = {**REFUSED_BY_SCHEMA, **REFUSED_BY_OPERATOR, **TEMPLATES}
SCHEMA = definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]


@pytest.mark.parametrize("fields", ALL.values(), ids=ALL)
def test_the_field_is_named_and_nothing_is_made(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidField) as caught:
        ChrionModelSpec.parse({**SMALLEST, **fields}, "spec")
    text = str(caught.value)
    (part,) = fields
    assert text.startswith(f"spec.{part}")
    assert "\n" not in text
    assert len(text) < 8000


@pytest.mark.parametrize("fields", REFUSED_BY_SCHEMA.values(), ids=REFUSED_BY_SCHEMA)
def test_the_definition_refuses_what_is_no_name(fields: dict[str, Any]) -> None:
    assert not Draft202012Validator(SCHEMA).is_valid({**SMALLEST, **fields})


@pytest.mark.parametrize("what", ["planRef '..'", "template: name a list", "template: 20,000 faults"])
def test_it_shows_as_invalid_spec_and_what_serves_stays(what: str) -> None:
    world = World()
    world.settle()
    before = {place: thing["metadata"]["resourceVersion"] for place, thing in world.objects.items()}
    world.edit(**ALL[what])
    assert world.condition("Stalled") == ("True", "InvalidSpec")
    assert world.message("Stalled").startswith("spec.")
    assert {place: thing["metadata"]["resourceVersion"] for place, thing in world.objects.items()} == before


@pytest.mark.parametrize(
    "spec", [None, [], 3, "x", {"model": None}, {"model": {"uri": None}}, {"paused": True, "x": 1}]
)
def test_a_spec_that_is_none_ends_no_decision(spec: Any) -> None:
    world = World()
    world.owner["spec"] = spec
    decision = decide(world.owner, Observed(), world.settings, world.server, world.now)
    assert decision.status is not None
    assert not decision.writes


def test_labels_and_annotations_may_have_the_names_of_lists() -> None:
    template = {"metadata": {"labels": {"env": "prod"}, "annotations": {"ports": "8000", "volumes": "none"}}}
    spec = ChrionModelSpec.parse(
        {**SMALLEST, "planner": {"podTemplate": template}, "runtime": {"podTemplate": template}}
    )
    cls, server = NodeClass("cpu", gpu=False, nodes=1, slots=1), Server(minor=33)
    job = planner_job(owner(), spec, cls, "0123456789", Settings(), server)
    served = deployment(owner(), spec, cls, "0123456789", 1, MODEL_DIGEST, Settings(), server)
    for made in (job, served):
        metadata = made["spec"]["template"]["metadata"]
        assert metadata["labels"]["env"] == "prod"
        assert (metadata["annotations"]["ports"], metadata["annotations"]["volumes"]) == ("8000", "none")
