"""What the API server sends is read object by object: one that is deep, large or broken never hides another."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chrion_api.bounds import MAX_DEPTH
from chrion_operator.cluster.reading import MAX_BYTES, MAX_VALUES, read_event, read_list, read_object
from chrion_operator.names import UnreadablePart
from tests.support.hostile_objects import chrionmodel, nested

anything = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text('[]{}",:\\é', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('[{",:\\', max_size=4), inner, max_size=3),
)
objects = st.dictionaries(st.text(max_size=5), anything, max_size=5)


@given(st.lists(objects, max_size=4), st.booleans(), objects)
def test_a_list_is_what_a_parser_makes_of_it(items: list[Any], items_first: bool, extra: Any) -> None:
    metadata = {"resourceVersion": "9", "continue": "a{["}
    fields = {"items": items, "metadata": metadata} if items_first else {"metadata": metadata, "items": items}
    text = json.dumps({"kind": "List", **fields}).encode()
    found, about = read_list(text)
    assert [*found] == items
    assert about == metadata
    assert read_event(json.dumps({"type": "ADDED", "object": extra}).encode()) == ("ADDED", extra)


@pytest.mark.parametrize("items", ["[]", "null"])
def test_an_empty_list_has_a_version_too(items: str) -> None:
    found, about = read_list(f'{{"metadata":{{"resourceVersion":"7"}},"items":{items}}}'.encode())
    assert [*found] == []
    assert about == {"resourceVersion": "7"}


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        (nested(1500), f"is nested deeper than {MAX_DEPTH} levels"),
        (nested(9_990), f"is nested deeper than {MAX_DEPTH} levels"),
        (nested(983), f"is nested deeper than {MAX_DEPTH} levels"),
        ('{"a":[' + "{}," * 40_000 + "{}]}", f"holds more than {MAX_VALUES:,} values"),
        ('{"a":"' + "x" * (1 << 20) + '"}', f"is larger than {MAX_BYTES >> 10} KiB"),
        ('{"a":"\\ud800"}', "cannot be read: "),
    ],
)
def test_one_that_cannot_be_read_is_alone_in_that(template: str, problem: str) -> None:
    evil = chrionmodel(
        "evil", "evil", template, more=f',"managedFields":[{{"fieldsV1":{template}}}],"labels":{{"a":"b"}}'
    )
    text = f'{{"items":[{chrionmodel("one", "good")},{evil},{chrionmodel("two", "good")}],"metadata":{{}}}}'
    one, read, two = read_list(text.encode())[0]
    assert (one["metadata"]["name"], two["metadata"]["name"]) == ("one", "two")
    assert one == orjson.loads(chrionmodel("one", "good"))
    assert read == read_object(evil.encode())
    assert read == read_event(f'{{"type":"MODIFIED","object":{evil}}}'.encode())[1]
    assert read["kind"] == "ChrionModel"
    assert isinstance(read["spec"], UnreadablePart)
    assert read["spec"].startswith(problem)
    assert "managedFields" not in read["metadata"] or problem.startswith("cannot")
    assert {name: read["metadata"][name] for name in ("name", "uid", "resourceVersion", "labels")} == {
        "name": "evil",
        "uid": "evil",
        "resourceVersion": "2",
        "labels": {"a": "b"},
    }


def test_a_plan_of_a_megabyte_is_one_value() -> None:
    data = {"plan.json": json.dumps([{"a": [1, 2, {}]}] * 40_000)}
    text = json.dumps({"metadata": {"name": "x"}, "data": data, "binaryData": {"b": "A" * (1 << 20)}})
    assert read_object(text.encode())["data"] == data


@pytest.mark.parametrize("text", [b"", b"<html>", b"[]", b'{"a":', b"7", b'"' * 99, b"[" * 99])
def test_what_is_no_object_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"is not an object|line 1"):
        read_object(text)
