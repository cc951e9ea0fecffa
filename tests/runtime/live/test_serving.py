"""A real `chrion serve` whose plans and objective change while it answers."""

import gzip
import re
import urllib.request

from chrion.cache import keep_plan, plan_path
from chrion_api import InputSpec
from chrion_runtime.devices import open_devices
from chrion_runtime.engines import key_of
from tests.support.command import serving

PLAN = "plan.json"


def names(server):
    return [bucket["plan"]["name"] for bucket in server.plans()]


def refusals(server):
    return [entry["why"] for entry in server.plan()["refusals"]]


def test_a_new_plan_under_load(world, mount, serving_live, steady, until):
    mount.put(plan_json=world.file(world.fast).to_json())
    with serving_live() as server:
        assert (names(server), server.plan()["sessions"]) == (["fast"], 1)
        with steady(server) as traffic:
            until(lambda: traffic.answered > 20)
            mount.put(plan_json=world.file(world.spread, world.small).to_json())
            until(lambda: names(server) == ["spread"])
            before = traffic.answered
            until(lambda: traffic.answered > before + 20)
            # Compressed, as a ConfigMap may hold it in binaryData, and back to the first.
            mount.put(plan_json=gzip.compress(world.file(world.fast).to_json().encode()))
            until(lambda: names(server) == ["fast"])
            before = traffic.answered
            until(lambda: traffic.answered > before + 20)
        assert traffic.problems == []
        until(lambda: server.plan()["sessions"] == 1)  # those of the plan before are gone
        moves = server.plan()["moves"]
        assert [(move["from"], move["to"], move["reason"]) for move in moves] == [
            ("spread", "fast", "plans"),
            ("fast", "spread", "plans"),
        ]
        assert server.plan()["refusals"] == []


def test_an_objective_that_changes_moves_along_the_frontier(world, mount, serving_live, until):
    plans = world.file(world.fast, world.middle, world.small).to_json()

    def put(text):
        mount.put(plan_json=plans, slo_yaml=text)

    put("latency: 200ms\n")
    with serving_live("--slo", mount.path("slo.yaml")) as server:
        assert names(server) == ["small"]
        for text, name, meets in (
            ("latency: 50ms\n", "middle", True),
            ("latency: 5ms\n", "fast", True),
            ("gpuMemory: 400Mi\nmode: Latency\n", "middle", True),
            ("latency: 5ms\ngpuMemory: 100Mi\n", "small", False),
        ):
            put(text)
            until(lambda name=name: names(server) == [name])
            (bucket,) = server.plans()
            assert bucket["meetsSLO"] is meets
            assert bucket["reason"]
        moves = [move for move in server.plan()["moves"] if move["reason"] != "drain"]
        assert [move["reason"] for move in moves] == ["objective"] * 4
        assert all("the objective is now" in move["why"] for move in moves)


def test_what_cannot_be_served_is_refused(world, mount, serving_live, steady, until):
    good = world.file(world.fast)
    objective = "latency: 50ms\n"

    def refused(word, plan, slo=objective):
        count = len(refusals(server))
        mount.put(plan_json=plan, slo_yaml=slo)
        until(lambda: len(refusals(server)) > count)
        assert word in refusals(server)[0]
        assert names(server) == ["fast"]

    mount.put(plan_json=good.to_json(), slo_yaml=objective)
    with serving_live("--slo", mount.path("slo.yaml"), "--metrics-port", "0") as server:
        with steady(server, clients=1) as traffic:
            refused("not valid JSON", good.to_json()[:100])
            refused("was made for graph", world.file(world.small.model_copy(update={"graph": "0" * 64})).to_json())
            refused("bananas", good.to_json(), "latency: 20 bananas\n")
            # What is right again is taken.
            mount.put(plan_json=world.file(world.small).to_json(), slo_yaml=objective)
            until(lambda: names(server) == ["small"])
        with urllib.request.urlopen(server.metrics, timeout=30) as response:
            metrics = response.read().decode()
    assert traffic.problems == []
    assert traffic.answered > 0
    assert 'chrion_plan_switches_total{model="m",reason="plans"} 1.0' in metrics
    assert 'chrion_plan_refused_total{cause="plans",model="m"} 2.0' in metrics
    assert 'chrion_plan_refused_total{cause="objective",model="m"} 1.0' in metrics
    assert re.search(r'chrion_plan_info\{bucket="[^"]+",mode="Memory",model="m",plan="small"\} 1\.0', metrics)
    assert 'chrion_plan_stale{model="m"}' in metrics
    assert 'chrion_slo_latency_seconds{model="m",percentile="99"} 0.05' in metrics


def test_a_file_that_vanishes_and_comes_back(world, mount, serving_live, until):
    mount.put(plan_json=world.file(world.fast).to_json())
    with serving_live() as server:
        mount.path("..data").unlink()
        server.process.wait_for("is gone")
        assert names(server) == ["fast"]
        mount.put(plan_json=world.file(world.small).to_json())
        until(lambda: names(server) == ["small"])


def test_run_watches_its_chrionmodel(world, chrion, tmp_path, until, monkeypatch):
    # Planned before, so that it need not be now.
    monkeypatch.setenv("CHRION_CACHE", str(chrion.cache))
    spec = InputSpec(name="input", shape=world.feeds["input"].shape)
    cpu = open_devices([])["cpu"]
    planned = plan_path(world.digest, {"inputs": [spec.to_data()]}, {"cpu": key_of(cpu)}, len(cpu.lanes))
    keep_plan(planned, world.file(world.small, devices={"cpu": key_of(cpu)}))
    text = f"""
apiVersion: chrion.dev/v1alpha1
kind: ChrionModel
metadata: {{name: m}}
spec:
  model: {{uri: "file://{world.model}"}}
  inputs: [{{name: input, shape: {list(world.feeds["input"].shape)}}}]
  devices: {{gpuResource: ""}}
  slo: {{latency: 20s}}
"""
    file = tmp_path / "model.yaml"
    file.write_text(text)
    with serving(chrion, "run", "-f", file) as server:
        assert server.plan()["slo"]["latency"] == "20s"
        file.write_text(text.replace("20s", "30s"))
        until(lambda: server.plan()["slo"]["latency"] == "30s")
        file.write_text(text.replace("20s", "thirty"))
        until(lambda: refusals(server))
        assert "spec.slo.latency" in refusals(server)[0]
        assert server.plan()["slo"]["latency"] == "30s"


def test_slo_and_the_options_it_replaces(world, mount, chrion):
    mount.put(plan_json=world.file(world.fast).to_json(), slo_yaml="latency: 20ms\n")
    command = ("serve", world.model, "--plan", mount.path(PLAN), "--slo", mount.path("slo.yaml"), "--port", "0")
    done = chrion(*command, "--latency", "20ms")
    assert done.returncode == 2
    assert "leave out --latency, --gpu-memory and --mode" in done.stderr
