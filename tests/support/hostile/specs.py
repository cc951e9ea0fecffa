"""Specs of ChrionModels that must not be followed: names that are paths, URIs that lead out, broken templates."""

from typing import Any

Spec = dict[str, Any]

NAMES = (
    "../../victim/configmaps/plan",
    "../../../../../version",
    "?watch=1&fieldSelector=metadata.name%3Dx",
    "x?labelSelector=a",
    "x#y",
    "%2e%2e%2fx",
    "..",
    ".",
    "a..b",
    "-a",
    "a b",
    "a\nb",
    "A",
    "x/status",
    "x" * 254,
)
"""What is the name of no object."""

_NAMED: dict[str, Spec] = {
    **{f"planRef {name[:20]!r}": {"planRef": {"name": name}} for name in NAMES},
    "secretRef up": {"model": {"uri": "s3://a/b", "secretRef": {"name": "../x"}}},
    "queueName up": {"planner": {"queueName": "../x"}},
    "queueName long": {"planner": {"queueName": "x" * 64}},
    "gpuResource up": {"devices": {"gpuResource": "../../x"}},
    "gpuResource without a domain": {"devices": {"gpuResource": "gpu"}},
    "gpuResource of two lines": {"devices": {"gpuResource": "nvidia.com/gpu\nx/y"}},
}

_URIS = (
    "pvc://../x",
    "pvc://claim",
    "pvc://Claim/x",
    "pvc://cla%69m/x",
    "pvc:///etc/passwd",
    "pvc://claim/a\nb",
    "configmap://n/../../x",
    "configmap://n/a/b",
    "configmap://../x",
    "configmap://n/%2e%2e",
    "oci://image",
    "oci://im age#x",
    "hf://owner/a.onnx",
    "hf://owner/../a.onnx",
    "hf://ow%6eer/net/a.onnx",
    "hf://owner/net@v1/a.onnx",
    "hf://owner/net/a.onnx?b",
    "hf://owner/net/a\nb",
    "https://a/b\r\nX: y",
    "gopher://a/b",
    "//a/b",
)
_URIS_THAT_LEAD_OUT = (
    "pvc://claim/../x",
    "pvc://claim/a/../../x",
    "pvc://claim/%2e%2e/x",
    "pvc://claim/a/%2E%2e",
    "pvc://claim/./x",
    "configmap://n/..",
    "hf://owner/net/../../api/x",
    "hf://owner/net/%2e%2e%2fx",
    "hf://owner/net/a.onnx@..",
    "oci://image#../x",
    "oci://image#a/%2e./x",
)

REFUSED_BY_SCHEMA: dict[str, Spec] = {**_NAMED, **{f"uri {uri!r}": {"model": {"uri": uri}} for uri in _URIS}}
"""What a server with the CRD takes in from nobody."""


def _deep(levels: int) -> Any:
    """Lists, for over objects in objects Kubernetes 1.20 itself thinks for half a minute."""
    made: Any = []
    for _ in range(levels):
        made = [made]
    return {"a": made}


TEMPLATES: dict[str, Any] = {
    "name a list": {"spec": {"containers": [{"name": ["x"]}]}},
    "name null": {"spec": {"containers": [{"name": None}]}},
    "name a number": {"spec": {"containers": [{"name": 1}]}},
    "no name": {"spec": {"containers": [{"image": "x"}]}},
    "volume's name an object": {"spec": {"volumes": [{"name": {"a": 1}}]}},
    "volumes an object": {"spec": {"volumes": {}}},
    "containers null": {"spec": {"containers": None}},
    "containers of nulls": {"spec": {"containers": [None]}},
    "containers of lists": {"spec": {"containers": [[]]}},
    "initContainers null": {"spec": {"initContainers": None}},
    "spec null": {"spec": None},
    "spec a list": {"spec": []},
    "metadata null": {"metadata": None},
    "labels a list": {"metadata": {"labels": ["a"]}},
    "labels of numbers": {"metadata": {"labels": {"a": 1}}},
    "annotations of objects": {"metadata": {"annotations": {"a": {}}}},
    "env a string": {"spec": {"containers": [{"name": "plan", "env": "x"}]}},
    "env of strings": {"spec": {"containers": [{"name": "plan", "env": ["x"]}]}},
    "env's name a list": {"spec": {"containers": [{"name": "plan", "env": [{"name": [1]}]}]}},
    "mount without a path": {"spec": {"containers": [{"name": "plan", "volumeMounts": [{"name": "x"}]}]}},
    "port a list": {"spec": {"containers": [{"name": "plan", "ports": [{"containerPort": []}]}]}},
    "image an object": {"spec": {"containers": [{"name": "plan", "image": {}}]}},
    "affinity of nulls": {
        "spec": {
            "affinity": {
                "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [None]}}
            }
        }
    },
    "expressions of strings": {
        "spec": {
            "affinity": {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [{"matchExpressions": ["x"]}]
                    }
                }
            }
        }
    },
    "tolerations an object": {"spec": {"tolerations": {"a": 1}}},
    "tolerations of strings": {"spec": {"tolerations": ["x"]}},
    "nodeSelector of lists": {"spec": {"nodeSelector": {"a": []}}},
    "limits a list": {"spec": {"containers": [{"name": "plan", "resources": {"limits": []}}]}},
    "amounts of objects": {"spec": {"containers": [{"name": "plan", "resources": {"limits": {"cpu": {"a": 1}}}}]}},
    "hostAliases without an address": {"spec": {"hostAliases": [{"hostnames": ["a"]}]}},
    "spread without a key": {"spec": {"topologySpreadConstraints": [{"maxSkew": 1}]}},
    "secrets of strings": {"spec": {"imagePullSecrets": ["x"]}},
    "100 deep": _deep(100),
    "900 deep": _deep(900),
    "deep in a list": {"spec": {"containers": [{"name": "plan", "args": [_deep(200)]}]}},
    "20,000 values": {"spec": {"containers": [{"name": "plan", "args": [""] * 20_000}]}},
    "20,000 faults": {"spec": {"containers": [1] * 20_000}},
}
"""Pod templates that cannot be merged into a planner's."""

TEMPLATES_THAT_NO_SERVER_HAS: dict[str, Any] = {
    "infinite": {"spec": {"containers": [{"name": "plan", "resources": {"limits": {"cpu": float("inf")}}}]}},
    "no number": {"spec": {"x": float("nan")}},
    "400 digits": {"spec": {"x": 10**400}},
    "5,000 digits": {"spec": {"x": 10**5000}},
    "half a surrogate pair": {"spec": {"x": "\ud800"}},
    "a name of half a pair": {"spec": {"\ud800": 1}},
}
"""Such as JSON can be read to, but a server holds none."""

REFUSED_BY_OPERATOR: dict[str, Spec] = {
    **{f"uri {uri!r}": {"model": {"uri": uri}} for uri in _URIS_THAT_LEAD_OUT},
    **{f"template: {what}": {"planner": {"podTemplate": template}} for what, template in TEMPLATES.items()},
    "the runtime's template": {"runtime": {"podTemplate": {"spec": {"volumes": [{"name": []}]}}}},
    "resources a list inside": {"runtime": {"resources": {"limits": ["x"]}}},
    "resources deep": {"runtime": {"resources": _deep(100)}},
    "tolerations deep": {"runtime": {"tolerations": [_deep(100)]}},
    "two counts of shapes": {"inputs": [{"name": "a", "shapes": [[1], [2]]}, {"name": "b", "shapes": [[1], [2], [3]]}]},
}
"""What a server may hold, and the operator says InvalidSpec to."""
