"""Pod templates are merged as kubectl's strategic merge does it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chrion_api import InvalidField
from chrion_operator.manifests.template import merge

scalars = st.booleans() | st.integers() | st.text(max_size=3)
documents = st.recursive(
    st.dictionaries(st.text("abc", min_size=1, max_size=2), scalars, max_size=3),
    lambda inner: st.dictionaries(st.text("xyz", min_size=1, max_size=2), inner, max_size=3),
)


@given(documents)
def test_over_and_under_nothing_it_is_itself(document: dict[str, Any]) -> None:
    assert merge({}, document, "") == merge(document, {}, "") == merge(document, document, "") == document


def test_named_things_are_merged_by_name_and_keep_their_order() -> None:
    below = {"containers": [{"name": "a", "image": "1"}, {"name": "b", "env": [{"name": "X", "value": "1"}]}]}
    above = {"containers": [{"name": "b", "env": [{"name": "Y", "value": "2"}]}, {"name": "c", "image": "3"}]}
    assert merge(below, above, "") == {
        "containers": [
            {"name": "a", "image": "1"},
            {"name": "b", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]},
            {"name": "c", "image": "3"},
        ]
    }
    mounts = {"volumeMounts": [{"mountPath": "/tmp", "name": "tmp"}]}
    assert merge(mounts, {"volumeMounts": [{"mountPath": "/tmp", "name": "other"}]}, "") == {
        "volumeMounts": [{"mountPath": "/tmp", "name": "other"}]
    }


def test_other_lists_are_replaced_and_null_removes() -> None:
    assert merge({"args": ["a", "b"], "hostNetwork": True}, {"args": ["c"], "hostNetwork": None}, "") == {"args": ["c"]}


@pytest.mark.parametrize(
    ("above", "path"),
    [
        ({"spec": []}, "at.spec"),
        ({"spec": {"containers": {}}}, "at.spec.containers"),
        ({"spec": {"containers": ["serve"]}}, "at.spec.containers[0]"),
        ({"spec": {"containers": [{"image": "x"}]}}, "at.spec.containers[0]"),
        ({"spec": {"containers": [{"name": "a", "env": [{"value": "x"}]}]}}, "at.spec.containers[0].env[0]"),
    ],
)
def test_what_cannot_be_merged_is_named(above: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidField) as caught:
        merge({"spec": {"containers": [{"name": "a", "image": "x"}]}}, above, "at")
    assert caught.value.path == path
