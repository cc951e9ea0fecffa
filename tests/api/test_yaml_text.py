"""YAML is held to the bounds of what it stands for, whatever it is written as."""

import json

import pytest

from chrion_api import ChrionModel, InvalidDocument
from chrion_api.yaml_text import MAX_DEPTH, MAX_VALUES, yaml_to_json


def test_is_the_json_that_it_stands_for():
    text = "a: &x {b: [1, 2.5, true, null, 'yes']}\nc: *x\nd: 2026-01-31\n1: one\n"
    inner = {"b": [1, 2.5, True, None, "yes"]}
    assert json.loads(yaml_to_json(text, "f")) == {"a": inner, "c": inner, "d": "2026-01-31", "1": "one"}
    assert json.loads(yaml_to_json(b"\xef\xbb\xbfa: \xc3\xa4", "f")) == {"a": "ä"}


def ladder(steps):
    """Each step stands for nine of the one before."""
    return "\n".join(["- &a0 [x]", *(f"- &a{one + 1} [{','.join([f'*a{one}'] * 9)}]" for one in range(steps))])


def tower(steps):
    """Each step stands for the one before, one level deeper."""
    return "\n".join(["- &a0 [x]", *(f"- &a{one + 1} [*a{one}]" for one in range(steps))])


TOO_MUCH = {
    "aliases": (ladder(12), f"holds more than {MAX_VALUES:,} values"),
    "aliases in depth": (tower(MAX_DEPTH), "nested deeper"),
    "values": (f"[{'1,' * MAX_VALUES}]", "holds more than"),
    "depth": ("[" * (MAX_DEPTH + 1), "nested deeper"),
    "blocks": ("\n".join(" " * one + "a:" for one in range(MAX_DEPTH + 2)), "nested deeper"),
    "a ring": ("&a {b: *a}", 'alias "*a"'),
    "a ring by a second name": ("- &a x\n- &a [*a]", 'alias "*a"'),
    "an alias of nothing": ("[*a]", 'alias "*a"'),
    "bytes": ("#" * (1 << 20) + "#", "larger than 1 MiB"),
    "half of a pair": ('"\\ud800"', "YAML"),
    "digits": ("9" * 5000, "YAML"),
    "a base-60 number": ("1" + ":59" * 51, "base-60 number"),
    "no date": ("2026-02-31", "YAML"),
    "no key": ("{[1]: 2}", "YAML"),
    "code": ("!!python/name:os.system", "YAML"),
    "two documents": ("a\n---\nb", "YAML"),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_what_is_refused(name):
    text, word = TOO_MUCH[name]
    with pytest.raises(InvalidDocument, match=r"^f: ") as caught:
        yaml_to_json(text, "f")
    assert word in str(caught.value)
    with pytest.raises(InvalidDocument):
        ChrionModel.from_yaml(text)
