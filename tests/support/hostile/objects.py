"""Objects that a tenant may write beside ChrionModels: of the operator's labels and names, and with bombs in them."""

import base64
import gzip
import json
import zlib
from collections.abc import Iterator
from functools import cache
from itertools import repeat
from typing import Any

from tests.support.hostile_objects import plan_text, plans
from tests.support.objects import plan_file

Object = dict[str, Any]

MODEL = "x"
"""The name of the model that these objects say they are of."""
MIB = 1 << 20


def labels(component: str, model: str = MODEL) -> dict[str, str]:
    """The labels that the operator gives."""
    return {
        "app.kubernetes.io/name": "chrion",
        "app.kubernetes.io/managed-by": "chrion",
        "app.kubernetes.io/component": component,
        "chrion.dev/model": model,
        "chrion.dev/node-class": "cpu",
    }


def owned_by(model: str, uid: str) -> list[Object]:
    """An owner reference as the operator writes it."""
    owner = {"apiVersion": "chrion.dev/v1alpha1", "kind": "ChrionModel", "name": model, "uid": uid}
    return [{**owner, "controller": True, "blockOwnerDeletion": False}]


STAGE = {"nodes": "0-9999999", "lanes": ["cpu/0"]}

PLANS: dict[str, str] = {
    "empty": "",
    "a list": "[]",
    "a number": "3",
    "no JSON": "plan",
    "cut off": plan_file().to_json()[:-30],
    "of another version": json.dumps({"version": 99}),
    "sixty million nodes": plan_text([STAGE] * 6),
    "ten billion nodes": plan_text([STAGE] * 1000),
    "a node a range": plan_text([{"nodes": ",".join(map(str, range(200_000, 0, -2))), "lanes": ["cpu/0"]}]),
    "deep where nobody looks": '{"version":1,"x":' + "[" * 990 + "]" * 990 + "}",
    "many small lists": "[" + "[]," * 300_000 + "[]]",
    "many wrong fields": json.dumps({"version": 1, **{f"x{number}": number for number in range(60_000)}}),
    "many wrong stages": plan_text([1] * 200_000),
    "one long name": json.dumps({"version": 1, "model": "x" * 900_000}),
}
"""Plan files that cannot be served, as text."""


def _packed(unit: bytes, size: int = 70 * MIB) -> bytes:
    """A list of so many bytes, packed without ever being there as a whole."""
    packer, block = zlib.compressobj(wbits=31), unit * (MIB // len(unit))
    parts = (b'{"a":[', *repeat(block, size // len(block)), b"{}]}")
    return b"".join([*map(packer.compress, parts), packer.flush()])


@cache
def packed() -> dict[str, bytes]:
    """Plan files that cannot be served, as bytes, by what they are."""
    return {
        "70 MiB of spaces": _packed(b"{}," + b" " * 997),
        "gzip in gzip": gzip.compress(_packed(b"1,")),
        "gzip cut off": gzip.compress(b"{}")[:-4],
        "gzip of another sum": gzip.compress(b"{}")[:-8] + bytes(8),
        "nothing but a head": b"\x1f\x8b",
        "no UTF-8": b"\xff\xfe{}",
        "deep": _packed(b"[" * 1000, 10 * MIB),
    }


def configmaps(uid: str) -> Iterator[Object]:
    """ConfigMaps with each of these plans: some with labels alone, the others as if owned by a model with this uid."""
    contents: list[Object] = [*plans().values(), *({"data": {"plan.json": text}} for text in PLANS.values())]
    contents += [{"binaryData": {"plan.json": base64.b64encode(content).decode()}} for content in packed().values()]
    for number, content in enumerate(contents):
        meta: Object = {"labels": labels("frontier" if number % 3 == 2 else "plan")}
        if number % 2:
            meta["ownerReferences"] = owned_by(MODEL, uid)
        meta["name"] = f"{MODEL}-{'frontier' if number % 3 == 2 else 'plan'}-{number}"
        yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, **content}


_POD = {"containers": [{"name": "serve", "image": "none"}]}
_SELECTOR = {"matchLabels": {"app": "x"}}
_TEMPLATE = {"metadata": {"labels": {"app": "x"}}, "spec": _POD}

TAKEN: dict[str, Object] = {
    "taken-slo": {"apiVersion": "v1", "kind": "ConfigMap", "data": {"slo.json": "theirs"}},
    "taken": {"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 1}]}},
    "taken-planner-gpu": {"apiVersion": "v1", "kind": "ServiceAccount"},
}
"""Objects by names that a ChrionModel "taken" needs, on a server without nodes."""


def strangers() -> Iterator[Object]:
    """Objects of every kind with the operator's labels that are of no model."""
    group = "rbac.authorization.k8s.io"
    role = {"apiGroup": group, "kind": "Role", "name": "x"}
    job = {"template": {"spec": {**_POD, "restartPolicy": "Never"}}, "suspend": True, "parallelism": 0}
    for model in (MODEL, "y" * 63):
        for manifest in (
            {"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 1}]}},
            {"apiVersion": "v1", "kind": "ServiceAccount"},
            {"apiVersion": f"{group}/v1", "kind": "Role", "rules": []},
            {"apiVersion": f"{group}/v1", "kind": "RoleBinding", "roleRef": role, "subjects": []},
            {"apiVersion": "batch/v1", "kind": "Job", "spec": job},
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "spec": {"replicas": 0, "selector": _SELECTOR, "template": _TEMPLATE},
            },
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "spec": {"replicas": 0, "selector": _SELECTOR, "template": _TEMPLATE},
            },
            {"apiVersion": "v1", "kind": "Pod", "spec": _POD},
        ):
            name = f"stranger-{model[:8]}"
            yield {**manifest, "metadata": {"name": name, "labels": labels("runtime", model)}}
