"""A damaged cache is noticed when it is loaded, and rebuilt: nothing is ever answered by it."""

import json
import os
import signal
import subprocess

import numpy as np
import pytest

import chrion as face
from chrion import cache, planning
from chrion.planning import PlanningTask
from chrion_api import DeviceKey, DeviceProfile, InputSpec, NodeCost, Rewrite
from chrion_graph.limits import Limits
from chrion_graph.normalise import FILES
from chrion_graph.seal import SUMS_FILE, damage, seal
from chrion_planner import measured_frontier
from chrion_planner.profiling import Known
from chrion_runtime.choice.documents import read_plan_file
from chrion_runtime.devices import open_devices
from chrion_runtime.engines import key_of
from chrion_runtime.errors import PlanRefused
from chrion_runtime.run.compiled_plan import compile_plans


@pytest.fixture
def feeds(case):
    return {"input": np.random.default_rng(0).standard_normal(case.inputs["input"]).astype(np.float32)}


@pytest.fixture
def load(model, plan_file, feeds):
    """`load()`: load the model and ask it once."""

    def answer():
        session = face.Session(model, plan_file)
        try:
            return session.run(feeds)["output"]
        finally:
            session.close()

    return answer


@pytest.fixture
def kept(model, load, tmp_path, monkeypatch):
    """A cache of this test's own, in which the model is; its folder there."""
    monkeypatch.setenv("CHRION_CACHE", str(tmp_path / "cache"))
    load()
    return cache.normalised(model, Limits()).folder


def assert_same(found, before):
    """The same answer but for the last bits, which depend on whether a helper of the kernels was late; spoiled weights
    are far off."""
    np.testing.assert_allclose(found, before, rtol=0, atol=1e-5)


def overwrite(path):
    """As a failing disk may: the length stays, and nothing of it looks wrong."""
    path.write_bytes(np.full(path.stat().st_size // 4, 0.5, np.float32).tobytes())


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def swap(path):
    """The digests of other files."""
    path.write_text(path.read_text().replace(path.read_text()[:8], "0" * 8))


DAMAGES = {
    "weights of other numbers": ("weights.bin", overwrite),
    "a bit of the weights": ("weights.bin", flip),
    "weights cut": ("weights.bin", lambda path: os.truncate(path, 1000)),
    "weights emptied": ("weights.bin", lambda path: os.truncate(path, 0)),
    "no weights": ("weights.bin", lambda path: path.unlink()),
    "a pipe for weights": ("weights.bin", pipe),
    "a model of rubbish": ("model.onnx", lambda path: path.write_text("rubbish")),
    "a bit of the model": ("model.onnx", flip),
    "no model": ("model.onnx", lambda path: path.unlink()),
    "other digests": (SUMS_FILE, swap),
    "digests of rubbish": (SUMS_FILE, lambda path: path.write_bytes(os.urandom(200))),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_model_is_made_anew(load, kept, caplog, name):
    before = load()
    file, spoil = DAMAGES[name]
    assert not caplog.records
    spoil(kept / file)
    assert damage(kept, FILES)
    assert_same(load(), before)
    (line,) = (record.getMessage() for record in caplog.records)
    assert line.startswith(f"{kept}: the cache is damaged: ")
    assert damage(kept, FILES) is None
    assert sorted(path.name for path in kept.parent.iterdir()) == [kept.name]


def test_what_an_earlier_version_made_is_made_anew_without_a_word(load, kept, caplog):
    before = load()
    (kept / SUMS_FILE).unlink()
    assert_same(load(), before)
    assert not caplog.records
    assert damage(kept, FILES) is None


def test_a_damaged_part_is_made_anew(load, kept):
    before = load()
    parts = list(kept.glob("part-*.onnx"))
    assert parts
    for part in parts:
        part.write_text("rubbish")
    assert_same(load(), before)


def test_what_is_damaged_while_it_serves_is_not_drawn(kept, plan_file):
    plans = read_plan_file(plan_file).buckets[0].plans
    assert compile_plans(kept, plans[:1])
    overwrite(kept / "weights.bin")
    with pytest.raises(PlanRefused, match=r"the digest of weights\.bin has changed"):
        compile_plans(kept, plans[:1])


def test_digests_are_those_of_coreutils(kept):
    subprocess.run(["sha256sum", "--check", "--strict", SUMS_FILE], cwd=kept, check=True, capture_output=True)
    seal(kept, ["model.onnx"])
    assert damage(kept, ["model.onnx"]) is None
    assert "weights.bin" in str(damage(kept, FILES))


def test_a_served_model_whose_cache_was_damaged(chrion, kept, serving, ask, load, model, plan_file, feeds, tmp_path):
    """The command, as its users run it: what it answers is right, and it says what happened."""
    before = load()
    own = type(chrion)(tmp_path / "cache")
    overwrite(kept / "weights.bin")
    with serving(own, "serve", model, "--plan", plan_file) as server:
        assert_same(ask(server, feeds)["output"], before)
        assert "the cache is damaged: the digest of weights.bin has changed" in server.process.err
    assert server.process.popen.returncode in (0, -signal.SIGTERM)


@pytest.fixture
def job(other_model, chrion, monkeypatch):
    monkeypatch.setenv("CHRION_CACHE", str(chrion.cache))
    monkeypatch.setattr(measured_frontier, "MEASURED_PLANS", 1)
    return PlanningTask(other_model, (InputSpec(name="input", shape=(3, 1, 128)),), devices=("cpu",), cpu_lanes=1)


@pytest.fixture
def path(job):
    """Where the job's plan is kept."""
    keys = {"cpu": key_of(open_devices(["cpu"])["cpu"])}
    asked = {"inputs": [spec.to_data() for spec in job.inputs]}
    return cache.plan_path(cache.normalised(job.model, job.limits).digest, asked, keys, 1)


def test_a_damaged_plan_is_made_anew(job, path, caplog, monkeypatch):
    plan, cached = planning.cached_plan(job)
    assert not cached
    assert planning.cached_plan(job) == (plan, True)
    # Planning takes seconds, and once is enough.
    made = []
    monkeypatch.setattr(planning, "plan", lambda job: made.append(job) or plan)
    whole = path.read_bytes()
    slower = whole.replace(b'"predictedSeconds": ', b'"predictedSeconds": 9', 1)
    assert slower != whole
    for content in (b"", b"rubbish", whole[:100], slower, plan.to_json().encode()):
        path.write_bytes(content)
        caplog.clear()
        assert planning.cached_plan(job) == (plan, False)
        assert f"{path}: the cache is damaged" in caplog.text
        assert planning.cached_plan(job) == (plan, True)
    assert len(made) == 5
    assert json.loads(path.read_bytes().partition(b"\n")[2]) == plan.to_data()


def test_a_plan_of_an_earlier_version_whose_rewrite_is_gone_is_made_anew(job, path, plan_file, monkeypatch):
    current = read_plan_file(plan_file)
    bucket = current.buckets[0]
    gone = bucket.plans[0].model_copy(update={"rewrites": (Rewrite(name="split-wide", parameters={}),)})
    cache.keep_plan(
        path, current.model_copy(update={"buckets": (bucket.model_copy(update={"plans": (*bucket.plans, gone)}),)})
    )
    monkeypatch.setattr(planning, "plan", lambda _: current)
    assert planning.cached_plan(job) == (current, False)
    assert planning.cached_plan(job) == (current, True)


@pytest.fixture
def known():
    key = DeviceKey(product="p", cores=1, engines={})
    device = DeviceProfile(name="cpu", key=key, lanes=1, hop_seconds=0, handoff_seconds=0)
    return Known(reference_seconds=1, device=device.model_copy(update={"nodes": {"Add-1": NodeCost(seconds=1e-6)}}))


def test_figures_of_devices_are_kept_and_rubbish_is_replaced(known, tmp_path, caplog, monkeypatch):
    monkeypatch.setenv("CHRION_CACHE", str(tmp_path))
    figures, key = cache.DeviceFigures(), known.device.key
    figures.keep(known)
    assert figures.read(key, 1) == known
    assert figures.read(key, 2) is None
    assert cache.DeviceFigures(write_only=True).read(key, 1) is None
    (path,) = (tmp_path / "figures").iterdir()
    for content in (b"", b"rubbish", path.read_bytes()[:100], known.to_json().encode()):
        path.write_bytes(content)
        caplog.clear()
        assert figures.read(key, 1) is None
        assert f"{path}: the cache is damaged" in caplog.text
        figures.keep(known)
        assert figures.read(key, 1) == known


def test_figures_that_cannot_be_kept_are_no_error(known, tmp_path, caplog, monkeypatch):
    (tmp_path / "figures").write_text("a file where a folder should be")
    monkeypatch.setenv("CHRION_CACHE", str(tmp_path))
    cache.DeviceFigures().keep(known)
    assert "cannot be written" in caplog.text
