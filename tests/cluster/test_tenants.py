"""Tenants on a real API server: one writes all that is hostile, and the other's model is reconciled as ever."""

import json
import random
import re
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from kubernetes.dynamic.exceptions import DynamicApiError

from chrion_operator.cluster import pods
from chrion_operator.cluster.api import Api
from chrion_operator.cluster.kinds import MODEL as MODEL_KIND
from tests.support.chrionmodels import Model, conditions
from tests.support.cluster import Cluster
from tests.support.hostile.answers import TEXTS
from tests.support.hostile.objects import MODEL, TAKEN, configmaps, strangers
from tests.support.hostile.specs import REFUSED_BY_OPERATOR, REFUSED_BY_SCHEMA
from tests.support.on_thread import served
from tests.support.operator import OperatorProcess
from tests.support.raw import create_model
from tests.support.waiting import wait_until

StartOperator = Callable[..., OperatorProcess]

MOST_BYTES = 256 << 20
SPEC: dict[str, Any] = {"model": {"uri": "https://models.example/a.onnx"}}


@pytest.fixture
def good(control_plane: Cluster, make_namespace: Callable[[], str]) -> Model:
    return Model(control_plane, make_namespace(), "good")


@pytest.fixture
def evil_pod() -> Iterator[str]:
    """The address of a pod that answers with every hostile text in turn."""
    texts = cycle(TEXTS.values())

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=next(texts), content_type="application/json")

    app = web.Application()
    app.router.add_get("/v2/models/{model}/plan", answer)
    chance = random.SystemRandom()
    address = f"127.{chance.randrange(1, 255)}.{chance.randrange(256)}.{chance.randrange(1, 255)}"
    with served(app, address, pods.PORT):
        yield address


def write_all(cluster: Cluster, namespace: str) -> None:
    """All that is hostile, as far as the server takes it in."""
    owner = cluster.apply(_model(namespace, MODEL, SPEC))
    for manifest in (*configmaps(owner["metadata"]["uid"]), *strangers()):
        cluster.create_or_merge({**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}})
    for name, manifest in TAKEN.items():
        cluster.create_or_merge({**manifest, "metadata": {"name": name, "namespace": namespace}})
    cluster.apply(_model(namespace, "taken", SPEC))
    for number, fields in enumerate(REFUSED_BY_OPERATOR.values()):
        text = json.dumps(_model(namespace, f"refused-{number}", {**SPEC, **fields}))
        assert create_model(cluster, namespace, text) == 201
    for depth in (1500, 9000):
        template = '{"a":' + "[" * depth + "]" * depth + "}"
        text = json.dumps(_model(namespace, f"deep-{depth}", {**SPEC, "runtime": {"podTemplate": "HERE"}}))
        assert create_model(cluster, namespace, text.replace('"HERE"', template)) == 201


def _model(namespace: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "chrion.dev/v1alpha1", "kind": "ChrionModel", "metadata": metadata, "spec": spec}


@pytest.mark.parametrize("fields", REFUSED_BY_SCHEMA.values(), ids=REFUSED_BY_SCHEMA)
def test_names_that_are_none_are_refused_at_apply(control_plane: Cluster, namespace: str, fields: Any) -> None:
    (part,) = fields
    with pytest.raises(DynamicApiError) as caught:
        control_plane.apply(_model(namespace, "m", {**SPEC, **fields}))
    assert caught.value.status == 422
    assert f"spec.{part}" in str(caught.value.body)


@pytest.mark.timeout(300)
def test_nothing_that_one_tenant_writes_keeps_another_waiting(
    control_plane: Cluster, namespace: str, start_operator: StartOperator, good: Model, evil_pod: str
) -> None:
    environment = {"CHRION_NAMESPACES": f"{namespace},{good.namespace}", "CHRION_SCRAPE_SECONDS": "0.02"}
    evil = Model(control_plane, namespace, "evil")
    operator = start_operator(**environment)
    # As it comes, over the watches.
    write_all(control_plane, namespace)
    for model in (evil, good):
        model.apply()
        model.hand_in()
        model.wait_for("Planned", "True")
    _serve(evil, evil_pod)
    before = {name: control_plane.get(one["kind"], name, namespace) for name, one in TAKEN.items()}
    taken = Model(control_plane, namespace, "taken")
    taken.wait_for("Stalled", "True", "NotOurs")
    for number, fields in enumerate(REFUSED_BY_OPERATOR.values()):
        (part,) = fields
        # What is too deep or too large as a whole is not gone through.
        assert _invalid(control_plane, namespace, f"refused-{number}").startswith((f"spec.{part}", "spec: ")), fields
    for name in ("deep-1500", "deep-9000"):
        assert "deep" in _invalid(control_plane, namespace, name)
    good.apply(runtime={"replicas": 2})
    wait_until(lambda: good.deployment()["spec"]["replicas"] == 2, "the other tenant's change")
    assert {name: control_plane.get(one["kind"], name, namespace) for name, one in TAKEN.items()} == before
    assert operator.running
    assert _most_memory(operator) < MOST_BYTES
    operator.kill()
    control_plane.delete("Lease", "chrion-operator", namespace)
    # As it lies there when an operator starts.
    again = start_operator(**environment)
    good.apply(runtime={"replicas": 3})
    wait_until(lambda: good.deployment()["spec"]["replicas"] == 3, "the other tenant's change")
    answered = 'chrion_operator_pod_answers_total{result="refused"}'
    wait_until(lambda: _value(again.metrics(), answered) >= len(TEXTS), "an answer to every question")
    assert again.running
    assert _most_memory(again) < MOST_BYTES


def _invalid(cluster: Cluster, namespace: str, name: str) -> str:
    """What the operator says of a spec that cannot be used; read as it reads, for clients of others cannot."""
    api = Api(cluster.api_client)

    def stalled() -> str:
        said = conditions(api.get(MODEL_KIND, namespace, name)).get("Stalled", {})
        return str(said["message"]) if said.get("reason") == "InvalidSpec" else ""

    return wait_until(stalled, f"{name}'s being InvalidSpec")


def _serve(model: Model, address: str) -> None:
    """Bring its replica up, at an address."""
    wait_until(lambda: model.owned("Pod", "runtime"), "a replica")
    for pod in model.owned("Pod", "runtime"):
        ready = {"type": "Ready", "status": "True"}
        status = {"phase": "Running", "conditions": [ready], "podIP": address, "podIPs": [{"ip": address}]}
        model.cluster.patch("Pod", pod["metadata"]["name"], model.namespace, {"status": status}, status=True)


def _most_memory(operator: OperatorProcess) -> int:
    """Bytes."""
    status = Path(f"/proc/{operator.pid}/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) << 10


def _value(metrics: str, name: str) -> float:
    return next((float(line.split()[-1]) for line in metrics.splitlines() if line.startswith(name)), 0.0)
