"""What one line of `kubectl get` says of a model's replicas."""

import pytest

from chrion_operator.reconcile.observed import PodAnswer
from chrion_operator.reconcile.printer_columns import gpu_memory, latency, runs_on


def planned(measured: float, observed: float | None = None) -> PodAnswer:
    return PodAnswer("heft", True, latency_seconds=observed, predicted_seconds=measured / 2, measured_seconds=measured)


@pytest.mark.parametrize(
    ("answers", "shown"),
    [
        ([], None),
        ([PodAnswer("heft", True)], None),
        ([planned(0.0123456)], "12ms"),
        ([planned(0.0123456, 0.0199)], "20ms"),
        ([planned(0.0123456, 0.0199), planned(0.5, 0.001)], "20ms"),
        ([planned(0.0123456, 0.0199), planned(0.5)], "500ms"),
        ([planned(0.000163)], "160us"),
        ([planned(0.00163)], "1.6ms"),
        ([planned(0.09999)], "100ms"),
        ([planned(1.26)], "1.3s"),
        ([PodAnswer("heft", True, predicted_seconds=0.25)], "250ms"),
    ],
)
def test_the_latency_is_the_slowest_replicas_as_observed_or_else_as_planned(answers, shown):
    assert latency(answers) == shown


@pytest.mark.parametrize(("taken", "shown"), [([], None), ([0], "0"), ([1], "1Mi"), ([180 << 20, 1 << 20], "180Mi")])
def test_gpu_memory_is_rounded_up(taken, shown):
    assert gpu_memory([PodAnswer("heft", True, gpu_bytes=nbytes) for nbytes in taken]) == shown


def test_devices_are_those_of_all_replicas():
    answers = [PodAnswer("a", True, devices=("cpu",)), PodAnswer("b", True, devices=("cuda:0", "cpu"))]
    assert runs_on(answers) == "cpu, cuda:0"
    assert runs_on([]) is None
