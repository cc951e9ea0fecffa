"""A plan ConfigMap is read in both its forms, and nonsense in it is refused by name."""

import base64
import gzip
from typing import Any

import pytest

from chrion_api import Reason
from chrion_operator import plans
from chrion_operator.errors import UnservablePlan
from chrion_operator.manifests import frontier_configmap
from chrion_operator.nodes import NodeClass
from chrion_operator.plans import read_plan
from tests.support.objects import MODEL_DIGEST, owner, plan_file

TEXT = plan_file().to_json()


def configmap(**fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": "nsnet2-plan-cpu"}, **fields}


def binary(content: bytes) -> dict[str, Any]:
    return configmap(binaryData={"plan.json": base64.b64encode(content).decode()})


@pytest.mark.parametrize(
    "written", [configmap(data={"plan.json": TEXT}), binary(gzip.compress(TEXT.encode())), binary(TEXT.encode())]
)
def test_both_forms_hold_the_same_plan(written: dict[str, Any]) -> None:
    planned = read_plan(written, MODEL_DIGEST)
    assert planned.file == plan_file()
    assert planned.digest == read_plan(configmap(data={"plan.json": TEXT})).digest


def test_a_frontier_is_read_as_the_plan_that_it_was_made_of() -> None:
    compressed = binary(gzip.compress(TEXT.encode()))
    compressed["data"] = {"notes": "of a person"}
    frontier = frontier_configmap(owner(), NodeClass("cpu", gpu=False), "0123456789", read_plan(compressed))
    assert read_plan(frontier) == read_plan(compressed)
    assert "data" not in frontier


@pytest.mark.parametrize(
    "written",
    [
        configmap(),
        configmap(data=None),
        configmap(data={"other.json": TEXT}),
        configmap(data={"plan.json": ""}),
        configmap(data={"plan.json": TEXT[:-20]}),
        configmap(data={"plan.json": "[]"}),
        configmap(data={"plan.json": TEXT.replace('"version": 2', '"version": 3')}),
        configmap(data={"plan.json": TEXT.replace('"cpu/0"', "7")}),
        binary(b"\x1f\x8b nonsense"),
        binary(gzip.compress(TEXT.encode())[:-12]),
        binary(b"\xff\xfe\x00"),
        configmap(binaryData={"plan.json": "not base64!"}),
    ],
)
def test_nonsense_is_refused_and_named(written: dict[str, Any]) -> None:
    with pytest.raises(UnservablePlan, match=r"^ConfigMap nsnet2-plan-cpu: plan\.json: ") as caught:
        read_plan(written)
    assert caught.value.reason is Reason.PLAN_REFUSED
    assert "\n" not in str(caught.value)


def test_a_plan_for_another_model_is_refused() -> None:
    with pytest.raises(UnservablePlan) as caught:
        read_plan(configmap(data={"plan.json": TEXT}), "c" * 64)
    assert caught.value.reason is Reason.DIGEST_MISMATCH


def test_what_decompresses_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "MAX_PLAN_BYTES", 1000)
    with pytest.raises(UnservablePlan, match="more than 1,000 bytes"):
        read_plan(binary(gzip.compress(b" " * 10_000)))
