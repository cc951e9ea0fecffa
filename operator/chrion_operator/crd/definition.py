"""Definition: the CustomResourceDefinition of ChrionModel, from the types of the vocabulary."""

import json
from typing import Any

import yaml

from chrion_api import ChrionModel
from chrion_api.chrionmodel import GROUP, KIND, VERSION
from chrion_operator.crd.structural import structural
from chrion_operator.names import Object

PLURAL = "chrionmodels"
SHORT_NAME = "chm"
FILE = f"{PLURAL}.{GROUP}.yaml"

HEADER = "# Generated from the types in api/chrion_api by `make schema`. Do not edit.\n"


def _condition(of: str, field: str) -> str:
    return f'.status.conditions[?(@.type=="{of}")].{field}'


WIDE = {"priority": 1}
"""Of columns that `kubectl get -o wide` alone shows."""

COLUMNS: tuple[tuple[str, str, str, Object], ...] = (
    ("Mode", ".spec.mode", "What Chrion minimises", {}),
    ("Runs On", ".status.runsOn", "The devices that the plans in use hold", {}),
    ("Latency", ".status.latency", "Latency of the slowest replica, as planned before there were requests", {}),
    ("GPU Memory", ".status.gpuMemory", "GPU memory of the replica that uses most", {}),
    ("Ready", _condition("Ready", "status"), "Whether a replica answers requests", {}),
    ("Reason", _condition("Ready", "reason"), "Why", {}),
    ("URL", ".status.url", "Where the model answers inside the cluster", {}),
    ("SLO Met", _condition("SLOMet", "status"), "Whether the latency is within the objective", WIDE),
    ("Target", ".spec.slo.latency", "The latency of the objective", WIDE),
    ("Budget", ".spec.slo.gpuMemory", "The GPU memory of the objective", WIDE),
    ("Replicas", ".status.replicas", "Replicas that exist", {"type": "integer", **WIDE}),
    ("Message", _condition("Ready", "message"), "Why, for people", WIDE),
)


def definition() -> Object:
    """The CRD as plain data."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": [SHORT_NAME],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": _schema()},
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.runtime.replicas",
                            "statusReplicasPath": ".status.replicas",
                            "labelSelectorPath": ".status.selector",
                        },
                    },
                    "additionalPrinterColumns": _columns(),
                }
            ],
        },
    }


def text() -> str:
    """The CRD as the file holds it."""
    # By way of JSON nothing is shared, for which YAML would write anchors.
    plain = json.loads(json.dumps(definition()))
    return HEADER + yaml.safe_dump(plain, sort_keys=False, width=120, allow_unicode=True)


def _schema() -> dict[str, Any]:
    schema = structural(ChrionModel)
    # The server checks these itself, and lets a CRD say no more of them.
    known = {"apiVersion": "string", "kind": "string", "metadata": "object"}
    schema["properties"] |= {name: {"type": kind} for name, kind in known.items()}
    schema["required"] = ["spec"]
    return schema


def _columns() -> list[Object]:
    columns = [
        {"name": name, "type": "string", "jsonPath": path, "description": description, **options}
        for name, path, description, options in COLUMNS
    ]
    return [*columns, {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}]
