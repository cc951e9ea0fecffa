"""Sets of values that between them reach every branch of the templates."""

from typing import Any

VALUE_SETS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "two replicas": {"replicas": 2, "podDisruptionBudget": {"enabled": True}},
    "namespaced": {"watchNamespaces": ["team-a", "team-b"], "rbac": {"readNodes": False, "aggregate": False}},
    "observed": {
        "serviceMonitor": {"enabled": True, "models": True, "labels": {"release": "prometheus"}, "interval": "10s"},
        "grafanaDashboard": {"enabled": True, "annotations": {"grafana_folder": "Models"}},
    },
    "fenced": {
        "networkPolicy": {
            "enabled": True,
            "apiServerPorts": [6443],
            "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
            "extraEgress": [{"ports": [{"port": 3128}]}],
        }
    },
    "own images": {
        "images": {
            "registry": "registry.example.com:5000/mirror/chrion",
            "tag": "1.2.3",
            "pullPolicy": "Always",
            "pullSecrets": [{"name": "registry"}],
            "runtimeGpu": "registry.example.com/gpu-runtime@sha256:" + "0" * 64,
        }
    },
    "nothing of the cluster's": {
        "crds": {"install": False},
        "rbac": {"create": False},
        "serviceAccount": {"create": False, "name": "mine"},
    },
    "names": {"fullnameOverride": "very-long-name-of-more-than-forty-charac", "crds": {"keep": False}},
    "placed": {
        "operator": {
            "workers": 1,
            "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
            "podLabels": {"team": "a"},
            "podAnnotations": {"note": "b"},
            "nodeSelector": {"kubernetes.io/arch": "amd64"},
            "tolerations": [{"operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {}}
            ],
            "priorityClassName": "system-cluster-critical",
        },
        "serviceAccount": {"name": "named", "annotations": {"a": "b"}},
        "models": {
            "podTemplate": {"spec": {"tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}]}},
            "fetchAllow": ["minio.storage.svc", "10.0.0.0/8"],
            "maxBytes": "512Mi",
        },
    },
    "tested": {"test": {"model": True, "spec": {"planner": {"tolerations": [{"operator": "Exists"}]}}}},
    "tested elsewhere": {"test": {"model": True}, "watchNamespaces": ["team-a"]},
}
