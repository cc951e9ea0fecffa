"""Answers of runtime pods to `/v2/models/{model}/plan` that are none."""

import copy
import json
from typing import Any

SAID: dict[str, Any] = {
    "slo": {"latency": "20ms", "percentile": 90},
    "buckets": [
        {
            "meetsSLO": True,
            "plan": {
                "name": "heft",
                "predictedSeconds": 0.009,
                "stages": [{"lanes": ["cuda:0/1"]}, {"lanes": ["cpu/0", "cpu/1"]}],
                "measured": {"p50": 0.01, "p90": 0.012, "p99": 0.02, "repetitions": 100},
                "gpuBytes": {"weights": 1000, "activations": 20, "workspace": 3, "context": 0},
            },
        }
    ],
    "observed": {"seconds": 0.0123456, "sloMet": True},
    "stale": None,
}
"""A good answer."""


def _with(path: str, text: str) -> bytes:
    """The good answer with other JSON at a path."""
    said = copy.deepcopy(SAID)
    inner: Any = said
    *way, last = path.split(".")
    for step in way:
        inner = inner[int(step) if step.isdecimal() else step]
    inner[int(last) if last.isdecimal() else last] = "HERE"
    return json.dumps(said).replace('"HERE"', text).encode()


def _deep(depth: int) -> str:
    return "[" * depth + "]" * depth


PLAN = "buckets.0.plan"

TEXTS: dict[str, bytes] = {
    "nothing": b"",
    "null": b"null",
    "a number": b"3",
    "a list": b"[]",
    "empty": b"{}",
    "no JSON": b"<html>",
    "cut off": json.dumps(SAID).encode()[:-20],
    "no UTF-8": json.dumps(SAID).encode("utf-16"),
    "rot13": json.dumps(SAID).encode().replace(b"heft", b"\xff\xfe"),
    "half a surrogate pair": _with(f"{PLAN}.name", '"\\ud800"'),
    "deep": _deep(100_000).encode(),
    "deep in a field that nobody reads": _with("more", _deep(20_000)),
    "deep objects": b'{"a":' * 50_000,
    **{
        f"{path} is {text[:12]}": _with(path, text)
        for path, texts in {
            "slo": ("null", "[]", '"x"', "1"),
            "slo.percentile": ("0", "100", "1e999", "NaN", '"99"', "null", "true", "1" + "0" * 400),
            "buckets": ("null", "{}", "3", "[1]", "[null]", "[[]]", '"x"'),
            "buckets.0.meetsSLO": ("null", "1", '"yes"', "{}"),
            PLAN: ("null", "[]", '["name"]', '"x"'),
            f"{PLAN}.name": ("null", "1", "[]", "{}", json.dumps("x" * 254)),
            f"{PLAN}.predictedSeconds": ("null", "-1", "NaN", "Infinity", "1e999", '"1"', "true", "1" + "0" * 400),
            f"{PLAN}.measured": ("[]", '{"p50": -1}', '"x"', "1"),
            f"{PLAN}.measured.p90": ("1e999", "NaN", "1e300", '"1"'),
            f"{PLAN}.gpuBytes": ("[]", "3", '"x"'),
            f"{PLAN}.gpuBytes.weights": ("-1", "1.5", "1e30", "NaN", "1" + "0" * 400, '"1"', "[]"),
            f"{PLAN}.stages": ("null", "{}", "3", "[null]", '["x"]', '[{"lanes": []}]', '[{"lanes": [1]}]', "[{}]"),
            "observed": ("[1]", '"x"', "3", "true"),
            "observed.seconds": ("-1", "NaN", "1e999", "-Infinity", '"1"', "[]", "1" + "0" * 400),
            "observed.sloMet": ('{"a": [1]}', "1", '"true"', "[]"),
            "stale": ('"x"', "[]", "3", "true", '{"message": 3}', '{"message": []}', '{"message": null}'),
        }.items()
        for text in texts
    },
}
"""Bodies by what is wrong with them."""
