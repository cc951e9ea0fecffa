"""Figures in a ConfigMap that planners share: what one measured the next does not, and nothing of it is ever fatal."""

import base64
import gzip
import json
from typing import Any

import pytest

from chrion.cache import figures_name
from chrion.commands import plan_job
from chrion.errors import UsageError
from chrion.pod import figures
from chrion.pod.config_map import Persistence
from chrion.pod.figures import SharedFigures, figures_of, figures_patch
from chrion_api import DeviceKey, DeviceProfile, PlanFile
from chrion_api.profile import NodeCost
from chrion_planner.profiling import Known
from tests.support.fake_api import FakeApi, merge, touch
from tests.support.profiling_here import EVERYTHING, profiling_here
from tests.support.tiny_model import TINY_SPEC, tiny_model

PLAN, FIGURES = ("team", "tiny-plan-cpu"), ("team", "chrion-figures-cpu")
CPU = DeviceKey(product="A CPU", cores=1, engines={"onnxruntime": "1"})


def known(key: DeviceKey = CPU, lanes: int = 1, seconds: float = 1.0, **costs: float) -> Known:
    found = {name: NodeCost(seconds=cost) for name, cost in costs.items()}
    device = DeviceProfile(name="cpu", key=key, lanes=lanes, hop_seconds=0, handoff_seconds=0, nodes=found)
    return Known(reference_seconds=seconds, device=device)


def other(number: int) -> Known:
    """What is known of another device."""
    return known(CPU.model_copy(update={"product": f"CPU {number}"}), gemm=number + 1)


def kept(*found: Known, start: int = 1) -> dict[str, Any]:
    """A ConfigMap with these, written one after the other."""
    config_map: dict[str, Any] = {"metadata": {"resourceVersion": "7"}}
    for now, one in enumerate(found, start):
        merge(config_map, figures_patch(config_map, one, now))
    return config_map


@pytest.fixture
def api(tmp_path, monkeypatch):
    api = FakeApi()
    api.add(*PLAN, revision="rev1")
    api.add(*FIGURES)
    monkeypatch.setattr(figures, "Persistence", lambda seconds: Persistence(seconds=0.1, first=0.01))
    with api.running():
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(tmp_path / "kubeconfig")))
        yield api


@pytest.fixture
def shared(api):
    return SharedFigures("/".join(FIGURES))


def test_figures_are_joined_and_read_by_device_and_lanes() -> None:
    config_map = kept(known(a=1, b=2), known(b=3, c=4), known(lanes=2, a=5), other(0))
    assert len(config_map["binaryData"]) == 3
    assert figures_of(config_map, CPU, 1) == known(a=1, b=3, c=4)
    assert figures_of(config_map, CPU, 2) == known(lanes=2, a=5)
    assert figures_of(config_map, CPU, 3) is None
    assert figures_of({"metadata": {}}, CPU, 1) is None


def test_those_of_another_version_are_not_used(monkeypatch) -> None:
    config_map = kept(known(a=1))
    monkeypatch.setattr("chrion.cache.__version__", "0.0.0")
    assert figures_of(config_map, CPU, 1) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense",
        gzip.compress(b"{}", mtime=0),
        gzip.compress(known(a=1).to_json().encode(), mtime=0)[:-9],
        gzip.compress(known(a=1).to_json().encode().replace(b"1", b"-1"), mtime=0),
        gzip.compress(b"[" * 100_000, mtime=0),
        gzip.compress(known(lanes=2, a=1).to_json().encode(), mtime=0),
        gzip.compress(other(0).to_json().encode(), mtime=0),
    ],
)
def test_what_is_damaged_is_ignored_and_replaced(content, caplog) -> None:
    config_map = kept(known(a=1))
    config_map["binaryData"][figures_name(CPU, 1)] = base64.b64encode(content).decode()
    assert figures_of(config_map, CPU, 1) is None
    assert "ignoring" in caplog.text
    merge(config_map, figures_patch(config_map, known(b=2), 9))
    assert figures_of(config_map, CPU, 1) == known(b=2)


def test_what_no_api_server_wrote_is_no_figures() -> None:
    config_map = kept(known(a=1))
    config_map["binaryData"] = {figures_name(CPU, 1): "é", "other": "a"}
    assert figures_of(config_map, CPU, 1) is None
    merge(config_map, figures_patch(config_map, known(b=2), 9))
    assert figures_of(config_map, CPU, 1) == known(b=2)


def test_the_oldest_go_where_all_are_too_many(monkeypatch) -> None:
    config_map = kept(*map(other, range(4)))
    size = max(len(base64.b64decode(text)) for text in config_map["binaryData"].values())
    monkeypatch.setattr(figures, "MOST_BYTES", 3 * size + 9)
    merge(config_map, figures_patch(config_map, other(1), 5))
    merge(config_map, figures_patch(config_map, other(4), 6))
    left = {number for number in range(5) if figures_of(config_map, other(number).device.key, 1)}
    assert left == {1, 3, 4}
    monkeypatch.setattr(figures, "MOST_BYTES", 9)
    assert set(figures_patch(config_map, known(a=1), 7)["binaryData"].values()) == {None}


def test_those_of_a_machine_of_another_speed_take_their_place() -> None:
    assert figures_of(kept(known(a=1), known(b=2, seconds=1.3)), CPU, 1) == known(b=2, seconds=1.3)


def test_they_are_kept_beside_what_others_write(api, shared) -> None:
    assert shared.read(CPU, 1) is None

    def another(found):
        merge(found, figures_patch(found, other(0), 1))
        touch(found)

    api.before_patch = [another, touch]
    shared.keep(known(a=1))
    assert shared.read(CPU, 1) == known(a=1)
    assert shared.read(other(0).device.key, 1) == other(0)


@pytest.mark.parametrize("faults", [[403] * 99, [500] * 99, [0] * 99, [422] * 2])
def test_no_failure_is_fatal(api, shared, faults, caplog) -> None:
    api.faults = list(faults)
    assert shared.read(CPU, 1) is None
    shared.keep(known(a=1))
    assert caplog.text.count("WARNING") == 2
    api.faults = []
    api.before_patch = [touch] * 99
    shared.keep(known(a=1))
    assert "has changed" in caplog.text
    del api.objects[FIGURES]
    assert shared.read(CPU, 1) is None
    shared.keep(known(a=1))
    assert not api.patches


def test_what_is_no_reference_is_said(api) -> None:
    with pytest.raises(UsageError, match="NAMESPACE/NAME"):
        SharedFigures("figures")


@pytest.fixture
def job(api, tmp_path, monkeypatch):
    """`job(revision)`: what a planner's Job of this revision measures, in a pod without a cache, and its plan."""
    measured = profiling_here(monkeypatch)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setenv("CHRION_SPEC", json.dumps(TINY_SPEC))
    monkeypatch.setenv("CHRION_TERMINATION_LOG", str(tmp_path / "termination-log"))
    model = tiny_model(tmp_path / "tiny.onnx")

    def run(revision: str) -> set[str]:
        measured.clear()
        api.objects[PLAN]["metadata"]["annotations"]["chrion.dev/revision"] = revision
        monkeypatch.setenv("CHRION_CACHE", str(tmp_path / revision))
        plan_job.command(model, "CHRION_SPEC", "/".join(PLAN), revision, "/".join(FIGURES))
        assert api.annotations(*PLAN)["chrion.dev/planned"] == revision
        assert PlanFile.from_json(api.objects[PLAN]["data"]["plan.json"]).buckets
        return set(measured)

    return run


def test_what_one_job_measured_the_next_does_not(job, api, caplog) -> None:
    everything = job("rev1")
    assert everything == EVERYTHING
    assert not job("rev2")
    (name,) = api.objects[FIGURES]["binaryData"]
    api.objects[FIGURES]["binaryData"][name] = "bm9uc2Vuc2U="
    assert job("rev3") == everything
    assert "damaged" in caplog.text
    assert not job("rev4"), "what was damaged was replaced"
    del api.objects[FIGURES]
    assert job("rev5") == everything
    assert "cannot keep the measurements" in caplog.text


def test_the_operator_names_them_in_the_environment(quick, api, tmp_path) -> None:
    options = ("--spec-env", "CHRION_SPEC", "--config-map", "/".join(PLAN), "--revision", "rev1")
    environment = {
        "CHRION_SPEC": json.dumps(TINY_SPEC),
        "CHRION_CACHE": str(tmp_path / "cache"),
        "CHRION_FIGURES": "/".join(FIGURES),
        "CHRION_TERMINATION_LOG": str(tmp_path / "termination-log"),
    }
    done = quick("plan-job", "--model", tiny_model(tmp_path / "tiny.onnx"), *options, **environment)
    assert done.returncode == 0, done.stderr
    # What something disturbed is not kept, and says so.
    assert "binaryData" in api.objects[FIGURES] or "warning: profile of cpu" in done.stderr
