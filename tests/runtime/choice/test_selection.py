"""The plan that serves is the one that objective and mode ask for, whatever the frontier."""

from typing import Any

import pytest

from chrion_api import SLO, Frontier, GpuBytes, Latency, Mode, Plan, Stage
from chrion_runtime.choice.selection import select
from chrion_runtime.errors import PlanRefused

MI = 1 << 20


def plan(name: str, milliseconds: float | tuple[float, float, float], mebibytes: int, measured: bool = True) -> Plan:
    """A plan with that p50, p90 and p99 and that much GPU memory."""
    p50, p90, p99 = milliseconds if isinstance(milliseconds, tuple) else (milliseconds,) * 3
    return Plan(
        name=name,
        graph="0" * 64,
        stages=(Stage(nodes=(0,), lanes=("cpu/0",)),),
        predicted_seconds=p50 / 1e3,
        measured=Latency(p50=p50 / 1e3, p90=p90 / 1e3, p99=p99 / 1e3, repetitions=9) if measured else None,
        gpu_bytes=GpuBytes(weights=mebibytes * MI // 2, context=mebibytes * MI - mebibytes * MI // 2),
    )


FRONTIERS = {
    "three": (plan("fast", 10, 800), plan("middle", 20, 300), plan("small", 40, 0)),
    "one": (plan("only", 20, 300),),
    "tail": (plan("steady", (20, 21, 22), 500), plan("jittery", (10, 30, 60), 100)),
    "predicted": (plan("fast", 10, 800, measured=False), plan("small", 40, 0, measured=False)),
    "ties": (plan("big", 10, 800), plan("lean", 10, 300)),
}

TABLE: list[tuple[str, dict[str, Any], Mode, str, bool]] = [
    # No objective: the fastest, unless memory is asked for.
    ("three", {}, Mode.AUTO, "fast", True),
    ("three", {}, Mode.LATENCY, "fast", True),
    ("three", {}, Mode.MEMORY, "small", True),
    # A latency: Auto saves memory within it.
    ("three", {"latency": "50ms"}, Mode.AUTO, "small", True),
    ("three", {"latency": "40ms"}, Mode.AUTO, "small", True),
    ("three", {"latency": "39ms"}, Mode.AUTO, "middle", True),
    ("three", {"latency": "15ms"}, Mode.AUTO, "fast", True),
    ("three", {"latency": "50ms"}, Mode.LATENCY, "fast", True),
    ("three", {"latency": "39ms"}, Mode.MEMORY, "middle", True),
    # Out of reach: the nearest.
    ("three", {"latency": "5ms"}, Mode.AUTO, "fast", False),
    ("three", {"latency": "5ms"}, Mode.MEMORY, "fast", False),
    ("three", {"latency": "5ms"}, Mode.LATENCY, "fast", False),
    # The budget is hard, also where it costs the latency.
    ("three", {"gpuMemory": "800Mi"}, Mode.LATENCY, "fast", True),
    ("three", {"gpuMemory": "799Mi"}, Mode.LATENCY, "middle", True),
    ("three", {"gpuMemory": "0"}, Mode.LATENCY, "small", True),
    ("three", {"gpuMemory": "799Mi"}, Mode.MEMORY, "small", True),
    ("three", {"gpuMemory": "400Mi", "latency": "15ms"}, Mode.AUTO, "middle", False),
    ("three", {"gpuMemory": "400Mi", "latency": "25ms"}, Mode.AUTO, "middle", True),
    ("three", {"gpuMemory": "100Mi", "latency": "25ms"}, Mode.LATENCY, "small", False),
    # The percentile is what counts.
    ("tail", {}, Mode.AUTO, "steady", True),
    ("tail", {"percentile": 50}, Mode.AUTO, "jittery", True),
    ("tail", {"percentile": 99, "latency": "25ms"}, Mode.AUTO, "steady", True),
    ("tail", {"percentile": 50, "latency": "25ms"}, Mode.AUTO, "jittery", True),
    ("tail", {"percentile": 95, "latency": "45ms"}, Mode.MEMORY, "steady", True),
    ("tail", {"percentile": 95, "latency": "47ms"}, Mode.MEMORY, "jittery", True),
    # A plan never measured stands by its prediction.
    ("predicted", {"latency": "15ms"}, Mode.AUTO, "fast", True),
    ("predicted", {"latency": "50ms"}, Mode.AUTO, "small", True),
    # As fast with less is better.
    ("ties", {}, Mode.LATENCY, "lean", True),
    ("ties", {"latency": "5ms"}, Mode.LATENCY, "lean", False),
    ("one", {}, Mode.AUTO, "only", True),
    ("one", {"latency": "1ms"}, Mode.AUTO, "only", False),
]


@pytest.mark.parametrize(("frontier", "slo", "mode", "name", "meets"), TABLE)
def test_selects(frontier: str, slo: dict[str, Any], mode: Mode, name: str, meets: bool) -> None:
    plans = FRONTIERS[frontier]
    for order in (plans, plans[::-1]):
        found = select(Frontier(inputs={"x": (1,)}, plans=order), SLO.model_validate(slo), mode)
        assert (found.plan.name, found.meets_slo) == (name, meets)
        assert found.reason


@pytest.mark.parametrize(
    ("slo", "mode", "reason"),
    [
        ({}, Mode.LATENCY, "the fastest plan"),
        ({"gpuMemory": "400Mi"}, Mode.LATENCY, "the fastest plan within 400Mi of GPU memory"),
        ({}, Mode.MEMORY, "the plan with the least GPU memory"),
        ({"latency": "25ms"}, Mode.AUTO, "the plan with the least GPU memory that meets 25ms at p99"),
        ({"latency": "5ms"}, Mode.AUTO, "no plan meets 5ms at p99; the nearest misses it by 5.000 ms"),
    ],
)
def test_says_why(slo: dict[str, Any], mode: Mode, reason: str) -> None:
    frontier = Frontier(inputs={"x": (1,)}, plans=FRONTIERS["three"])
    assert select(frontier, SLO.model_validate(slo), mode).reason == reason


def test_refuses_a_budget_that_no_plan_fits() -> None:
    frontier = Frontier(inputs={"x": (1,)}, plans=FRONTIERS["one"])
    with pytest.raises(PlanRefused) as caught:
        select(frontier, SLO.model_validate({"gpuMemory": "200Mi"}), Mode.LATENCY)
    assert str(caught.value) == (
        f"slo.gpuMemory: 200Mi is less than any plan needs; the smallest takes {300 * MI} bytes"
    )
