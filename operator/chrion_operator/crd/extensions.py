"""Extensions: what the CRD's schema says that types cannot, by field.

CEL rules are dropped by servers that lack them (before 1.25); the operator checks the same and says so in the
conditions. Limits of length are there because the server bounds what a rule may cost.
"""

from typing import Any

LONGEST_DURATION = {"maxLength": 64}


def _rule(rule: str, message: str) -> dict[str, Any]:
    return {"x-kubernetes-validations": [{"rule": rule, "message": message}]}


def _form(scheme: str, pattern: str, form: str) -> dict[str, str]:
    return {
        "rule": f"!self.startsWith('{scheme}://') || self.matches('^{scheme}://{pattern}')",
        "message": f"{scheme}:// is written {form}",
    }


_POSITIVE = {**LONGEST_DURATION, **_rule("duration(self) > duration('0s')", "must be longer than zero")}

_FEW = "!has({0}.shapes) || size({0}.shapes) < 2"

EXTENSIONS: dict[str, dict[str, Any]] = {
    "spec.model.uri": {
        "maxLength": 4096,
        "x-kubernetes-validations": [
            _form("pvc", "[^/]+/.", "pvc://CLAIM/PATH"),
            _form("configmap", "[^/]+/.", "configmap://NAME/KEY"),
            _form("oci", "[^#]+#.", "oci://IMAGE#PATH"),
            _form("file", "/", "file:///PATH, a path inside the image"),
        ],
    },
    "spec.inputs": {
        "maxItems": 256,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        **_rule(
            f"self.all(a, {_FEW.format('a')} || self.all(b, {_FEW.format('b')} || size(a.shapes) == size(b.shapes)))",
            "every input has as many shapes as there are buckets, or one",
        ),
    },
    "spec.inputs[]": _rule(
        "!has(self.shape) || !has(self.shapes) || size(self.shapes) == 0", "give shape or shapes, not both"
    ),
    "spec.inputs[].name": {"maxLength": 1024},
    "spec.inputs[].shape": {"maxItems": 64},
    "spec.inputs[].shapes": {"maxItems": 256},
    "spec.inputs[].shapes[]": {"maxItems": 64},
    "spec.state": {"maxItems": 256},
    "spec.slo.latency": _POSITIVE,
    "spec.slo.load": _rule(
        "!has(self.concurrency) || !has(self.requestsPerSecond)", "give concurrency or requestsPerSecond, not both"
    ),
    "spec.planner.timeout": _POSITIVE,
    # A newer operator may know more conditions and reasons than the CRD that is installed.
    "status.conditions": {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    "status.conditions[].type": {"enum": None},
    "status.conditions[].reason": {"enum": None},
    "status.conditions[].lastTransitionTime": {"format": "date-time"},
    "status.classes": {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["nodeClass"]},
    "status.classes[].replicas": {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["pod"]},
}
"""What is added to each field; None takes a keyword away."""
