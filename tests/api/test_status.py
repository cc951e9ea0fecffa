"""Status: conditions as Kubernetes has them, with reasons from a closed list."""

import pickle
from typing import Any

import pytest

from chrion_api import Condition, ConditionType, InvalidField, Reason, Status

STATUS: dict[str, Any] = {
    "observedGeneration": 3,
    "conditions": [
        {
            "type": "Ready",
            "status": "True",
            "reason": "Succeeded",
            "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
            "observedGeneration": 3,
        },
        {
            "type": "SLOMet",
            "status": "False",
            "reason": "InfeasibleSLO",
            "message": "no plan meets 1ms",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        },
    ],
    "classes": [
        {
            "nodeClass": "h200",
            "predictedLatencySeconds": 0.001,
            "measuredLatencySeconds": 0.0011,
            "gpuBytes": 1024,
            "replicas": [{"pod": "nsnet2-0", "plan": "heft", "latencySeconds": 0.0012, "sloMet": False}],
        }
    ],
    "model": {"sha256": "a" * 64},
    "url": "http://nsnet2.audio.svc",
    "replicas": 1,
    "selector": "app=nsnet2",
}


def test_status_round_trip() -> None:
    status = Status.parse(STATUS)
    assert status.to_data() == STATUS
    ready, slo = status.conditions
    assert (ready.type, ready.status) == (ConditionType.READY, "True")
    assert slo.reason is Reason.INFEASIBLE_SLO
    assert status.classes[0].replicas[0].slo_met is False


def test_kstatus_conditions_are_there() -> None:
    assert {"Ready", "Reconciling", "Stalled"} <= {item.value for item in ConditionType}


def test_every_reason_is_a_kubernetes_reason() -> None:
    # metav1.Condition: CamelCase, no spaces.
    assert all(item.value.isalnum() and item.value[0].isupper() for item in (*Reason, *ConditionType))


@pytest.mark.parametrize(
    ("field", "value"), [("status", "true"), ("status", True), ("reason", "Because"), ("type", "Happy")]
)
def test_condition_refuses(field: str, value: Any) -> None:
    with pytest.raises(InvalidField) as caught:
        Condition.parse({**STATUS["conditions"][0], field: value})
    assert caught.value.path == field


def test_errors_survive_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(InvalidField("spec.mode", "is wrong")))
    assert (error.path, error.problem, str(error)) == ("spec.mode", "is wrong", "spec.mode: is wrong")
