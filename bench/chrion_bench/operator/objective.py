"""An objective edited while it serves: seconds until the pod's plan is chosen by it, and requests that fail."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chrion_bench.operator.served_here import nsnet2
from tests.e2e.load import SteadyLoad

NAMESPACE = "objective"
RATE = 20.0
"""Requests a second."""
MOST_SECONDS = 120.0

Say = Callable[[str], None]


def objective(folder: Path, edits: int, say: Say) -> dict[str, Any]:
    """Edit the objective `edits` times under a steady load. The kubelet looks at volumes once a minute by itself."""
    taken = []
    with nsnet2(folder, NAMESPACE) as place:
        model = place.model
        model.apply()
        model.wait_for("Serving")
        (pod,) = model.pods()
        with SteadyLoad(
            model.service_ip(), model.name, {"input": place.value}, [{"output": place.answer}], RATE
        ) as load:
            for edit in range(edits):
                latency = f"{400 + edit}ms"
                model.spec["slo"] = {"latency": latency}
                began = time.monotonic()
                model.apply()
                while model.plan_of(pod)["slo"].get("latency") != latency:
                    if time.monotonic() - began > MOST_SECONDS:
                        raise TimeoutError(f"the objective was not in use within {MOST_SECONDS:.0f} s")
                    time.sleep(0.05)
                taken.append(time.monotonic() - began)
                say(f"{taken[-1]:6.2f} s to the plan in use by {latency}")
                time.sleep(edit * 1.7 % 5)  # the kubelet's own round is met at different moments
    return {"rate": RATE, "seconds": taken, "answers": load.answers, "failures": load.failures}
