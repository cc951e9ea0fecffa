"""Files that are swapped for rubbish while a model serves: refused with a reason that can be read, and it serves on."""

import gzip
import json
import os
import shutil
from contextlib import closing

import orjson
import pytest

from chrion_api import SLO
from chrion_runtime.live import Live, Watch
from chrion_runtime.planned_model import Hosting, PlannedModel

GOOD_OBJECTIVE = "latency: 20s\n"


@pytest.fixture
def served(world, tmp_path):
    """A model, and the files that it watches."""
    plan, objective = tmp_path / "plan.json", tmp_path / "slo.yaml"
    plan.write_text(world.file(world.small).to_json())
    objective.write_text(GOOD_OBJECTIVE)
    live = Live(plan=Watch(plan), objective=Watch(objective), poll=0.02, settle=0.0)
    slo = SLO.parse({"latency": "20s"})
    with closing(
        PlannedModel(world.normalised, world.file(world.small), slo=slo, hosting=Hosting(live=live))
    ) as planned:
        yield planned, plan, objective


@pytest.fixture
def refuses(served, world, until):
    """`refuses(path, put, word)`: exchange a file; what is answered on /plan then."""
    planned, *_ = served
    seen = []

    def check(path, put, word):
        remove(path)
        put(path)
        count = len(seen)
        until(lambda: len(planned.describe_plan()["refusals"]) > count)
        # As the server sends it: what cannot be written so would be an error 500 from then on.
        data = json.loads(orjson.dumps(planned.describe_plan()))
        why = data["refusals"][0]["why"]
        seen.append(why)
        assert word in why
        assert why.count(str(path)) == 1
        assert why.isprintable()
        assert len(why) <= 1000
        assert [bucket["plan"]["name"] for bucket in data["buckets"]] == ["small"]
        planned.run(world.feeds)

    return check


def remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def content(data):
    return lambda path: path.write_bytes(data)


def test_plans(served, refuses, world, until):
    planned, path, _ = served
    good = path.read_bytes()

    def other(**fields):
        return content(json.dumps({**json.loads(good), **fields}).encode())

    for put, word in (
        (content(b""), "not valid JSON"),
        (content(bytes(range(256)) * 20), "not valid JSON"),
        (content(good[: len(good) // 2]), "not valid JSON"),
        (content(gzip.compress(good)[:-20]), "damaged gzip"),
        (other(version=3), "version"),
        (other(model="0" * 64), "was made for model"),
        (content(good.replace(b'"version"', b'"\\ud800": 1, "version"')), ""),
        (other(devices="\ud800" * 3000), ""),
        (other(**{f"x\n\x1b[31m{number}": 1 for number in range(3000)}), ""),
        (os.mkfifo, "is not a regular file"),
        (os.mkdir, "is not a regular file"),
    ):
        refuses(path, put, word)
    remove(path)
    path.symlink_to(path.name)
    path.unlink()
    path.write_bytes(gzip.compress(world.file(world.small, truncated=True).to_json().encode()))
    count = len(planned.describe_plan()["refusals"])
    path.write_text(world.file(world.spread).to_json())
    until(lambda: planned.describe_plan()["buckets"][0]["plan"]["name"] == "spread")
    assert len(planned.describe_plan()["refusals"]) == count


def test_objectives(served, refuses, until):
    planned, _, path = served
    bomb = "\n".join(
        ["a0: &a0 [x, x]", *(f"a{one + 1}: &a{one + 1} [{','.join([f'*a{one}'] * 9)}]" for one in range(9))]
    )
    for put, word in (
        (content(b"\xff\xfe\xfd"), "not valid YAML"),
        (content(b"latency: 20 bananas"), "latency"),
        (content(b'latency: "\\ud800"'), ""),
        (content(b"latency:\n  " + bomb.replace("\n", "\n  ").encode()), "holds more than"),
        (content(b"latency: &a [*a]"), 'alias "*a"'),
        (content(b"[" * 5000), "YAML"),
        (content(b"{a: " * 500), "nested deeper"),
        (content(b"percentile: " + b"9" * 5000), "YAML"),
        (content(b"percentile: 1" + b":59" * 100_000), "base-60 number"),
        (content(b"x: " + b"y" * (1 << 20)), "larger than 1 MiB"),
        (content(b"!!python/object/apply:os.getpid []"), "not valid YAML"),
        (os.mkfifo, "is not a regular file"),
        (os.mkdir, "is not a regular file"),
    ):
        refuses(path, put, word)
    remove(path)
    path.write_text("latency: 30s\n")
    until(lambda: planned.describe_plan()["slo"]["latency"] == "30s")
