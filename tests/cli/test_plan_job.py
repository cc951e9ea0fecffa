"""`chrion plan-job` against an API server: progress, the plans handed in, and how it ends."""

import base64
import copy
import gzip
import json
import re
import signal
from pathlib import Path

import pytest

from chrion.pod.config_map import ClusterError, ConfigMap, ConfigMapConflict, ConfigMapGone, Persistence
from chrion.pod.payload import PLAIN_BYTES, PlanTooLarge, plan_of, plan_patch
from chrion_api import PlanFile
from chrion_api.handover import Termination
from chrion_graph.load import digest
from tests.support.fake_api import FakeApi, touch
from tests.support.tiny_model import TINY_SPEC, tiny_model

KEY = ("team", "tiny-plan-cpu")
REFERENCE = "/".join(KEY)


@pytest.fixture
def api():
    api = FakeApi()
    api.add(*KEY, revision="rev1")
    with api.running():
        yield api


@pytest.fixture
def log(tmp_path):
    return tmp_path / "termination-log"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("models") / "tiny.onnx")


@pytest.fixture
def spec():
    """ChrionModel.spec as the operator passes it."""
    return copy.deepcopy(TINY_SPEC)


@pytest.fixture
def environment(api, spec, log, tmp_path):
    return {
        "CHRION_SPEC": json.dumps(spec),
        "CHRION_TERMINATION_LOG": str(log),
        "KUBECONFIG": str(api.kubeconfig(tmp_path / "kubeconfig")),
    }


@pytest.fixture
def plan_job(quick, tiny, environment):
    def run(*, model=tiny, revision="rev1", config_map=REFERENCE, **changed):
        options = ("--spec-env", "CHRION_SPEC", "--config-map", config_map, "--revision", revision)
        return quick("plan-job", "--model", model, *options, **{**environment, **changed})

    return run


def test_plans_are_handed_in_and_found_again(plan_job, api, log, tiny):
    done = plan_job()
    assert done.returncode == 0, done.stderr
    found = api.objects[KEY]
    plan = PlanFile.from_json(found["data"]["plan.json"])
    assert plan.model == digest(tiny)
    assert plan.devices["cpu"].product
    assert all(stage.lanes == ("cpu/0",) for stage in plan.buckets[0].plans[0].stages)
    assert api.annotations(*KEY)["chrion.dev/planned"] == "rev1"
    told = [json.loads(patch["metadata"]["annotations"]["chrion.dev/progress"]) for patch in api.patches]
    assert told[-1] == {"percent": 100, "doing": "planned", "revision": "rev1"}
    percents = [progress["percent"] for progress in told]
    assert {progress["revision"] for progress in told} == {"rev1"}
    assert percents == sorted(percents)
    assert Termination.from_json(log.read_text()).sha256 == plan.model

    before = len(api.patches)
    assert "already planned" in plan_job().stdout
    assert len(api.patches) == before

    # Plans of an earlier revision or damaged ones do not count; the cache still spares the work.
    found["data"]["plan.json"] = "{}"
    assert plan_job().returncode == 0
    assert PlanFile.from_json(found["data"]["plan.json"]) == plan
    api.objects[KEY]["metadata"]["annotations"]["chrion.dev/revision"] = "rev2"
    assert plan_job(revision="rev2").returncode == 0
    assert api.annotations(*KEY)["chrion.dev/planned"] == "rev2"


@pytest.mark.parametrize(
    ("change", "reason", "code"),
    [
        ({"revision": "rev0"}, "Superseded", 42),
        ({"config_map": "team/other"}, "Superseded", 42),
        ({"config_map": "other"}, "InvalidSpec", 42),
        ({"CHRION_SPEC": "{"}, "InvalidSpec", 42),
        ({"CHRION_SPEC": '{"model": {"uri": "s3://b/k"}, "inputs": [{"nome": "x"}]}'}, "InvalidSpec", 42),
        ({"KUBECONFIG": ""}, "InvalidSpec", 42),
        ({"KUBECONFIG": "/missing"}, "InvalidSpec", 42),
    ],
)
def test_what_cannot_be_planned_says_why(plan_job, api, log, change, reason, code):
    done = plan_job(**change)
    last = json.loads(log.read_text())
    assert (done.returncode, last["reason"]) == (code, reason), done.stderr
    assert done.stderr == f"chrion: {last['message']}\n"
    assert api.patches == []


def test_bad_models_and_inputs(plan_job, log, bad_models, spec, tmp_path):
    for name, path in list(bad_models.items())[:2]:
        done = plan_job(model=path)
        assert (done.returncode, json.loads(log.read_text())["reason"]) == (42, "InvalidModel"), name
    spec["inputs"][0]["shape"] = [1, 3]
    done = plan_job(CHRION_SPEC=json.dumps(spec))
    assert (done.returncode, json.loads(log.read_text())["reason"]) == (42, "InvalidSpec"), done.stderr
    spec["devices"]["cpuLanes"] = 4000
    done = plan_job(CHRION_SPEC=json.dumps(spec))
    assert (done.returncode, json.loads(log.read_text())["reason"]) == (1, "DeviceUnavailable"), done.stderr


def test_sigterm_ends_it_soon(chrion, tiny, environment, api, log):
    chrion.environment.update(environment, CHRION_CACHE=str(log.parent / "cache"))
    try:
        process = chrion.start(
            "plan-job",
            "--model",
            tiny,
            "--spec-env",
            "CHRION_SPEC",
            "--config-map",
            REFERENCE,
            "--revision",
            "rev1",
        )
    finally:
        for name in (*environment, "CHRION_CACHE"):
            del chrion.environment[name]
    process.wait_for("profiling")
    process.signal(signal.SIGTERM)
    assert process.end() == 1
    assert json.loads(log.read_text())["reason"] == "Interrupted"
    process.wait_for_no_survivors()
    assert "data" not in api.objects[KEY]


@pytest.fixture
def hand(environment, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", environment["KUBECONFIG"])
    return ConfigMap(REFERENCE, Persistence(seconds=20, first=0.01, longest=0.02))


def test_the_api_server_may_be_away_for_a_while(hand, api):
    api.faults = [500, 503, 429, 0, 403, 0]
    assert hand.read()["metadata"]["name"] == KEY[1]
    assert api.faults == []


def test_progress_is_not_insisted_on(hand, api):
    api.faults = [500]
    assert not hand.try_patch({"metadata": {"annotations": {"a": "b"}}})
    assert hand.try_patch({"metadata": {"annotations": {"a": "b"}}})
    assert api.annotations(*KEY)["a"] == "b"


def test_what_the_api_server_refuses_for_good(environment, monkeypatch, api):
    monkeypatch.setenv("KUBECONFIG", environment["KUBECONFIG"])
    hand = ConfigMap(REFERENCE, Persistence(seconds=0.1, first=0.01))
    api.faults = [403] * 99
    with pytest.raises(ClusterError, match="a fault"):
        hand.read()
    api.faults = [422]
    with pytest.raises(ClusterError, match="cannot be patched"):
        hand.patch({"metadata": {}})
    api.faults = []
    with pytest.raises(ConfigMapConflict):
        hand.patch({"metadata": {"resourceVersion": "0"}})
    with pytest.raises(ConfigMapGone):
        ConfigMap("team/other").read()


def test_a_cluster_at_a_port_that_does_not_exist_is_bad_input(plan_job, environment, log):
    kubeconfig = Path(environment["KUBECONFIG"])
    kubeconfig.write_text(re.sub(r"(127\.0\.0\.1|localhost):\d+", r"\1:99999", kubeconfig.read_text()))
    done = plan_job()
    last = json.loads(log.read_text())
    assert (done.returncode, last["reason"], last["permanent"]) == (42, "InvalidSpec", True)
    assert "the API server's address cannot be used" in done.stderr
    assert "99999" in done.stderr


def test_a_revision_that_changes_at_the_last_moment(plan_job, api, log):
    plan_job()  # into the cache
    api.objects[KEY]["data"]["plan.json"] = ""
    changes = [
        touch,
        lambda found: (found["metadata"]["annotations"].update({"chrion.dev/revision": "rev2"}), touch(found)),
    ]
    api.before_patch = changes
    done = plan_job()
    assert (done.returncode, json.loads(log.read_text())["reason"]) == (42, "Superseded"), done.stderr
    assert api.objects[KEY]["data"]["plan.json"] == ""


def test_large_plans_are_compressed(plan_file):
    plan = PlanFile.from_json(plan_file.read_text())
    (bucket,) = plan.buckets
    times = 2 * PLAIN_BYTES // len(plan.to_json()) + 1
    large = plan.model_copy(update={"buckets": (bucket,) * times})
    patch = plan_patch(large, "rev1", "1")
    assert patch["data"] == {"plan.json": None}
    packed = base64.b64decode(patch["binaryData"]["plan.json"])
    assert gzip.decompress(packed).decode() == large.to_json()
    assert plan_of(patch, "rev1") == large
    assert plan_of(patch, "rev2") is None
    assert plan_patch(plan, "rev1", "1")["binaryData"] == {"plan.json": None}


def test_plans_that_no_config_map_holds(plan_file, monkeypatch):
    monkeypatch.setattr("chrion.pod.payload.PLAIN_BYTES", 100)
    monkeypatch.setattr("chrion.pod.payload.MOST_BYTES", 100)
    with pytest.raises(PlanTooLarge, match="fewer shapes"):
        plan_patch(PlanFile.from_json(plan_file.read_text()), "rev1", "1")
