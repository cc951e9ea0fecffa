"""What one namespace writes costs the others nothing: the operator goes on, in its memory, and says what is wrong."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes.client import ApiClient, Configuration

from chrion_operator.cluster import api as cluster_api
from chrion_operator.cluster.api import Api
from chrion_operator.cluster.errors import ApiAnswerTooLarge
from chrion_operator.cluster.kinds import CONFIG_MAP
from chrion_operator.controller import Controller
from chrion_operator.errors import UnservablePlan
from chrion_operator.manifests import Server
from chrion_operator.names import plan_name
from chrion_operator.plans import read_plan
from chrion_operator.reconcile import Key
from chrion_operator.settings import Settings
from tests.support.api_server import ApiServer
from tests.support.hostile_objects import chrionmodel, nested, plan_configmap, plans, poison
from tests.support.operator import OperatorProcess
from tests.support.waiting import wait_until

MOST_MIB = 256
"""Half of what the chart gives the operator."""


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer().running() as running:
        yield running


@pytest.fixture
def api(server: ApiServer) -> Api:
    configuration = Configuration()
    configuration.host = f"http://127.0.0.1:{server.port}"
    return Api(ApiClient(configuration))


@pytest.mark.parametrize("name", plans())
def test_a_plan_that_costs_too_much_is_refused_and_named(name: str) -> None:
    with pytest.raises(UnservablePlan, match=r"^ConfigMap m-plan-cpu: plan\.json: ") as caught:
        read_plan(plan_configmap("m-plan-cpu", "m", "evil", **plans()[name]))
    assert len(str(caught.value)) < 1000
    str(caught.value).encode()


def test_an_object_that_nobody_expected_is_left_out_and_told_of_once(
    server: ApiServer, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    controller = Controller(api, Settings(), Server(minor=33), "test")
    for name, thing in poison().items():
        server.put("configmaps", "evil", name, json.dumps(thing))
    server.put("configmaps", "evil", "deep", nested(5000))
    good = plan_configmap("good-plan-cpu", "good", "good", data={"plan.json": "{}"})
    server.put("configmaps", "good", "good-plan-cpu", json.dumps(good))
    server.put("chrionmodels", "good", "good", chrionmodel("good", "good"))
    for _ in range(3):
        controller.listed(CONFIG_MAP, "", api.list(CONFIG_MAP))
    assert ("ConfigMap", "good-plan-cpu") in controller.store.owned(Key("good", "good"))
    told = [record.getMessage() for record in caplog.records if "is ignored" in record.getMessage()]
    assert 0 < len(told) <= len(poison())
    assert len(told) == len(set(told))
    for thing in poison().values():
        controller.happened(CONFIG_MAP, "DELETED", thing)
        controller.happened(CONFIG_MAP, "MODIFIED", thing)


def test_a_list_that_is_too_large_is_read_in_smaller_pages(
    server: ApiServer, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_api, "MAX_BYTES", 100_000)
    for number in range(30):
        hostile = plan_configmap(f"c{number}", "m", "evil", data={"a": "x" * 20_000})
        server.put("configmaps", "evil", f"c{number}", json.dumps(hostile))
    listing = api.list(CONFIG_MAP)
    assert [thing["metadata"]["name"] for thing in listing] == [f"c{number}" for number in range(30)]
    assert listing.version == "1000"
    monkeypatch.setattr(cluster_api, "MAX_BYTES", 10_000)
    with pytest.raises(ApiAnswerTooLarge, match="has more than"):
        [*api.list(CONFIG_MAP)]


@pytest.mark.timeout(200)
def test_the_operator_lives_with_hostile_neighbours(server: ApiServer, tmp_path: Path) -> None:
    for number, depth in enumerate((100, 983, 1500, 9_000)):
        server.put("chrionmodels", "evil", f"deep{number}", chrionmodel(f"deep{number}", "evil", nested(depth)))
    wide = '{"a":[' + "{}," * 100_000 + "{}]}"
    for number in range(30):
        server.put("chrionmodels", "evil", f"wide{number}", chrionmodel(f"wide{number}", "evil", wide))
    for number, content in enumerate(plans().values()):
        name = f"bomb{number}"
        server.put("chrionmodels", "evil", name, chrionmodel(name, "evil"))
        hostile = plan_configmap(plan_name(name, "cpu"), name, "evil", **content)
        server.put("configmaps", "evil", hostile["metadata"]["name"], json.dumps(hostile))
        # And one by labels alone, of no ChrionModel.
        stray = plan_configmap(f"stray{number}", "none", "evil", **content)
        server.put("configmaps", "evil", stray["metadata"]["name"], json.dumps(stray))
    for name, thing in poison().items():
        server.put("configmaps", "evil", name, json.dumps(thing))
    server.put("chrionmodels", "good", "first", chrionmodel("first", "good"))
    kubeconfig = server.kubeconfig(tmp_path / "kubeconfig")
    settings = {"CHRION_OPERATOR_NAMESPACE": "chrion-system", "CHRION_READ_NODES": "false"}
    process = OperatorProcess(kubeconfig, tmp_path / "log", settings)
    try:
        process.wait_until_ready()
        wait_until(lambda: server.of("jobs", "good"), "the first good model's being planned")
        # As news too.
        server.put("chrionmodels", "evil", "late", chrionmodel("late", "evil", nested(1500), version=900))
        server.put("configmaps", "evil", "late", json.dumps({"metadata": {"name": "late"}}))
        server.put("chrionmodels", "good", "second", chrionmodel("second", "good", version=901))
        wait_until(lambda: len(server.of("jobs", "good")) == 2, "the second good model's being planned")

        def message(name: str) -> str:
            conditions = server.statuses["chrionmodels", "evil", name]["conditions"]
            return str(next(one for one in conditions if one["type"] == "Stalled"))

        def told(name: str, words: str) -> None:
            wait_until(lambda: words in message(name), f"{name}'s status saying so", ignore=KeyError)

        told("wide7", "spec: holds more than 20,000 values")
        assert "InvalidSpec" in message("wide7")
        for name in ("deep0", "deep1", "deep2", "deep3", "late"):
            told(name, "spec: is nested deeper than 64 levels")
        # Each bomb's model is looked at, and only its own plan refused.
        wait_until(lambda: len(server.of("jobs", "evil")) == len(plans()), "the bombs' models being planned")
        assert process.running
        assert "left_out_total" in process.metrics()
        assert {path for _, path in server.reads if "stray" in path} == set()
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) >> 10
        assert peak < MOST_MIB, f"{peak} MiB"
        assert process.terminate() == 0
        words = process.words()
    finally:
        process.kill()
    assert "Traceback" not in words
