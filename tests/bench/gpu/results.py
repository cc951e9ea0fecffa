"""Hand-made results of the GPU bench."""

from typing import Any

from chrion_bench.gpu.aims import LATENCY, MEMORY, REWRITTEN_CPU, REWRITTEN_GPU
from chrion_bench.gpu.sessions import BOUND, GRAPH, ORIGINAL, PLACED, TENSORRT

CONTEXT = 500 << 20
MIB = 1 << 20


def ran(times: float, own: int | None = None) -> dict[str, Any]:
    """A contender that takes `times` the original's millisecond, and so many bytes beside the context."""
    found: dict[str, Any] = {"p50": 1e-3 * times, "p90": 1e-3 * times, "p99": 1e-3 * times, "gain": 1 / times}
    if own is not None:
        context = CONTEXT if own else 0
        found |= {"gpuBytes": own + context, "contextBytes": context}
    return found


def plan(stated: int, work: float, name: str = "heft") -> dict[str, Any]:
    """What is kept of a plan that states so many bytes beside the context."""
    return {"name": name, "stages": 3, "gpuWork": work, "statedBytes": stated + CONTEXT if stated else 0}


def result(model: str = "m", latency: float = 0.5, **changed: dict[str, Any]) -> dict[str, Any]:
    """A model whose latency plan takes so many times the original's time; `changed` contenders by their constants."""
    contenders = {
        ORIGINAL: ran(1.0, 100 * MIB),
        BOUND: ran(0.9, 80 * MIB),
        GRAPH: ran(0.7, 80 * MIB),
        TENSORRT: {"absent": "TensorRT is not installed"},
        REWRITTEN_GPU: ran(0.6, 70 * MIB),
        REWRITTEN_CPU: ran(1.5, 0),
        LATENCY: ran(latency, 60 * MIB),
        f"{MEMORY}-1": ran(1.4, 10 * MIB),
        f"{PLACED}-50%": ran(2.0, 40 * MIB),
    }
    plans = {
        REWRITTEN_GPU: plan(70 * MIB, 1.0),
        REWRITTEN_CPU: plan(0, 0.0),
        LATENCY: plan(60 * MIB, 0.8),
        f"{MEMORY}-1": plan(10 * MIB, 0.3),
    }
    contenders |= {
        name: contender for name, contender in changed.items() if "p50" in contender or "absent" in contender
    }
    return {"model": model, "family": "lstm", "contenders": contenders, "plans": plans}
