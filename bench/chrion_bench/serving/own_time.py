"""What a model takes by itself: ONNX Runtime's session on one thread of the server's core, without a server.

Its slowest runs are what the machine does: no server on it can be steadier.
"""

import json
import os
import sys
from time import perf_counter
from typing import Any

import onnxruntime as ort

from chrion_bench.planning.process import in_own_process
from chrion_bench.serving.models import MODELS

RUNS = 1000


def own_times(name: str, path: str, core: int) -> dict[str, float]:
    """`median`, `p99` and `worst` of a thousand runs in seconds, in a process of its own on that core."""
    found: dict[str, float] = in_own_process(__name__, name, path, str(core))
    return found


def _measure(name: str, path: str) -> dict[str, Any]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = MODELS[name].feeds()
    seconds = []
    for _ in range(RUNS):
        began = perf_counter()
        session.run(None, feeds)
        seconds.append(perf_counter() - began)
    seconds = sorted(seconds[RUNS // 10 :])
    return {"median": seconds[len(seconds) // 2], "p99": seconds[len(seconds) * 99 // 100], "worst": seconds[-1]}


if __name__ == "__main__":
    os.sched_setaffinity(0, {int(sys.argv[3])})
    json.dump(_measure(sys.argv[1], sys.argv[2]), sys.stdout)
