"""What a document may hold is bounded before anything is built of it, and every refusal names what is too much."""

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chrion_api import InvalidDocument, InvalidField, PlanFile, plan
from chrion_api.bounds import MAX_DEPTH, depth, excess, values

DIGEST = "a" * 64


def plan_file(**fields: Any) -> dict[str, Any]:
    stages = [{"nodes": "0-9", "lanes": ["cpu/0"]}]
    plans = [{"name": "p", "graph": DIGEST, "predictedSeconds": 0, "stages": stages, **fields}]
    return {"version": 1, "model": DIGEST, "devices": {}, "buckets": [{"inputs": {}, "plans": plans}]}


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


anything = st.recursive(
    st.none() | st.integers() | st.text('[]{}",:\\é', max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('[{",:\\', max_size=4), inner, max_size=4),
)


@given(anything)
def test_depth_and_number_are_told_whatever_stands_in_strings(value: Any) -> None:
    def deepest(part: Any) -> int:
        inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else None
        return 0 if inner is None else 1 + max(map(deepest, inner), default=0)

    def number(part: Any) -> int:
        if isinstance(part, dict):
            return 1 + sum(1 + number(inner) for inner in part.values())
        return 1 + sum(map(number, part)) if isinstance(part, list) else 1

    text = json.dumps(value).encode()
    assert depth(text) == deepest(value)
    # A list's or object's first value is counted once more, and an empty one's too.
    assert number(value) <= values(text, 0) <= 2 * number(value)
    assert values(text, 10**6) >= values(text, 0)


@pytest.mark.parametrize("text", [b"", b'"', b'"\\', b"\\", b'{"a', b"]" * 9, b'"' * 999, (b'"' + b"\\" * 7) * 20_000])
def test_what_is_no_json_is_gone_through_once(text: bytes) -> None:
    assert depth(text) == values(text, 0) - 1 == text.count(b"{")


def test_what_is_nested_too_deep_is_refused() -> None:
    for levels in (MAX_DEPTH, 983, 5000, 1_000_000):
        for text in (f'{{"version": {nested(levels)}}}', f'{{"x": {nested(levels)}}}', nested(levels + 1)):
            with pytest.raises(InvalidDocument, match=f"^p.json: is nested deeper than {MAX_DEPTH} levels$"):
                PlanFile.from_json(text, "p.json")
    assert not excess(nested(MAX_DEPTH).encode())


def test_other_encodings_do_not_get_past() -> None:
    for encoding in ("utf-16", "utf-32-le"):
        with pytest.raises(InvalidDocument, match=r"^p\.json: not valid JSON"):
            PlanFile.from_json(json.dumps(plan_file()).encode(encoding), "p.json")
    assert PlanFile.from_json(json.dumps(plan_file()).encode("utf-8-sig"))


def test_the_nodes_of_all_stages_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "MAX_FILE_NODES", 25)
    stage = {"nodes": "0-9", "lanes": ["cpu/0"]}
    assert PlanFile.from_json(json.dumps(plan_file(stages=[stage] * 2)))
    for wrong in ([stage] * 3, [stage, {**stage, "nodes": "3,7,20-40"}]):
        with pytest.raises(InvalidField, match="the stages of all plans hold more than 25 nodes") as caught:
            PlanFile.from_json(json.dumps(plan_file(stages=wrong)), "p.json")
        assert caught.value.path == f"p.json: buckets[0].plans[0].stages[{len(wrong) - 1}].nodes"


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("model", '{"model": "\\ud800"}'),
        ("buckets[1].inputs", '{"buckets": [0, {"inputs": {"\\udfff": 1}}]}'),
        ("x[0].y", '{"x": [{"y": "a\\ud83d"}]}'),
    ],
)
def test_half_a_surrogate_pair_is_named(path: str, wrong: str) -> None:
    with pytest.raises(InvalidField, match="contains an unpaired surrogate") as caught:
        PlanFile.from_json(wrong, "p.json")
    assert caught.value.path == f"p.json: {path}"
    str(caught.value).encode()
    with pytest.raises(InvalidField, match="not a known field"):
        PlanFile.from_json('{"\\ud83d\\ude00": 1}')


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e400", "9" * 5000])
def test_what_is_no_number_is_refused_wherever_it_stands(number: str) -> None:
    text = json.dumps(plan_file(rewrites=[{"name": "r", "parameters": {"a": [0]}}]))
    with pytest.raises(InvalidDocument, match=r"not valid JSON|parameters\.a\[0\]: is not a finite number"):
        PlanFile.from_json(text.replace("[0]", f"[{number}]"), "p.json")


def test_what_is_wrong_all_over_is_told_in_a_few_words() -> None:
    wrong = {f"field{number}": [0] * 9 for number in range(900)} | {"model": {"x" * 5000: 1}}
    with pytest.raises(InvalidField, match=r"and 898 more$") as caught:
        PlanFile.parse(wrong)
    assert len(str(caught.value)) < 1000


HOSTILE = {
    "ranges": json.dumps(plan_file(stages=[{"nodes": "0-9999999", "lanes": ["c"]}] * 40)),
    "single nodes": json.dumps(plan_file(stages=[{"nodes": ",".join(map(str, range(1_500_000))), "lanes": ["c"]}] * 2)),
    "objects": '{"a":[' + "{}," * 4_000_000 + "{}]}",
    "wrong stages": json.dumps(plan_file(stages=[0] * 900_000)),
    "wrong fields": json.dumps(dict.fromkeys(map(str, range(99_000)), 0)),
    "deep": '{"a":' + nested(4_000_000) + "}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_document_takes_no_more_memory_than_its_bounds_allow(name: str) -> None:
    script = (
        "import resource, sys\n"
        "from chrion_api import InvalidDocument, PlanFile\n"
        "text, before = sys.stdin.buffer.read(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: PlanFile.from_json(text)\n"
        "except InvalidDocument as error: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], input=HOSTILE[name].encode(), capture_output=True, check=True)
    assert int(done.stdout) < 300 << 10
