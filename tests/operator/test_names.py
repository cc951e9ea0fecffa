"""Every object gets a name that the API server takes, and no two get the same by being cut."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chrion_operator import names
from tests.support.objects import owner

DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?)?")

model_names = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", fullmatch=True)
classes = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,80}[a-z0-9])?", fullmatch=True)


@given(model_names, classes)
def test_names_are_dns_labels_within_their_limits(model: str, cls: str) -> None:
    for name, limit in (
        (names.planner_name(model, cls), 63),
        (names.plan_name(model, cls), 63),
        (names.job_name(model, cls, "0123456789"), 52),
        (names.frontier_name(model, cls, "0123456789"), 63),
        (names.slo_name(model), 63),
        (names.deployment_name(model, cls), 52),
        (names.service_name(model), 63),
    ):
        assert DNS_LABEL.fullmatch(name)
        assert len(name) <= limit


@given(model_names, classes)
def test_labels_have_values_that_are_allowed(model: str, cls: str) -> None:
    for value in names.labels(model, "runtime", cls, "0123456789").values():
        assert LABEL_VALUE.fullmatch(value)
        assert len(value) <= 63


@given(st.sets(model_names, min_size=2, max_size=6))
def test_models_never_share_a_name(models: set[str]) -> None:
    assert len({names.service_name(model) for model in models}) == len(models)
    assert len({names.label_value(model) for model in models}) == len(models)


@pytest.mark.parametrize(("model", "readable"), [("nsnet2", "nsnet2"), ("silero.vad", "silero-vad-"), ("3d", "m3d-")])
def test_names_stay_readable(model: str, readable: str) -> None:
    assert names.service_name(model).startswith(readable)


def test_the_url_names_the_service_and_the_namespace() -> None:
    assert names.url(owner()) == "http://nsnet2.audio.svc"


def test_the_scale_selector_selects_the_runtimes_of_all_classes() -> None:
    terms = dict(term.split("=") for term in names.selector_text("nsnet2").split(","))
    assert terms.items() <= names.labels("nsnet2", "runtime", "a100", "0").items()
    assert not terms.items() <= names.labels("nsnet2", "planner", "a100").items()
