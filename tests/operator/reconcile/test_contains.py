"""What counts as holding what was applied: servers write things in their own way, and others add to them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chrion_operator.reconcile.contains import contains, digest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(JSON)
def test_everything_contains_itself(value: Any) -> None:
    assert contains(value, value)


@pytest.mark.parametrize(
    ("live", "wanted"),
    [
        ({"a": 1, "b": 2}, {"a": 1}),
        ({}, {"nodeSelector": {}, "tolerations": [], "suspend": False}),
        ({"cpu": "1"}, {"cpu": "1000m"}),
        ({"memory": "1Gi"}, {"memory": "1073741824"}),
        ({"cpu": "500m"}, {"cpu": "0.5"}),
        ([{"name": "a", "image": "x", "more": 1}, {"name": "injected"}], [{"name": "a", "image": "x"}]),
        ([{"name": "b"}, {"name": "a"}], [{"name": "a"}, {"name": "b"}]),
        (["--x", "--y"], ["--x", "--y"]),
    ],
)
def test_it_is_as_applied(live: Any, wanted: Any) -> None:
    assert contains(live, wanted)


@pytest.mark.parametrize(
    ("live", "wanted"),
    [
        ({"replicas": 7}, {"replicas": 1}),
        ({}, {"replicas": 1}),
        ({"image": "x"}, {"image": "y"}),
        ([{"name": "a"}], [{"name": "a"}, {"name": "b"}]),
        (["--x", "--z"], ["--x"]),
        (["--x"], []),
        ({"cpu": "1"}, {"cpu": "2"}),
        ({"flag": True}, {"flag": False}),
        ("text", {"a": 1}),
    ],
)
def test_it_is_not(live: Any, wanted: Any) -> None:
    assert not contains(live, wanted)


def test_digests_do_not_depend_on_the_order_of_fields() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 1, "b": 3})
