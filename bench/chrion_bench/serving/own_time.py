"""What a model takes by itself: ONNX Runtime's session on one thread of the server's core, without a server."""

import json
import os
import sys
from statistics import median
from time import perf_counter

import onnxruntime as ort

from chrion_bench.planning.process import in_own_process
from chrion_bench.serving.models import MODELS

RUNS = 400


def own_seconds(name: str, path: str, core: int) -> float:
    """The median of some hundred runs, in a process of its own on that core."""
    found: float = in_own_process(__name__, name, path, str(core))["seconds"]
    return found


def _measure(name: str, path: str) -> float:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = MODELS[name].feeds()
    seconds = []
    for _ in range(RUNS):
        began = perf_counter()
        session.run(None, feeds)
        seconds.append(perf_counter() - began)
    return median(seconds[RUNS // 4 :])


if __name__ == "__main__":
    os.sched_setaffinity(0, {int(sys.argv[3])})
    json.dump({"seconds": _measure(sys.argv[1], sys.argv[2])}, sys.stdout)
