"""Proposing rewrites of large graphs, each in its own process: `python -m chrion_bench.planning.rewriting NAME`."""

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import onnx

from chrion_bench.planning.process import peak_bytes
from chrion_bench.workplace import workplace
from chrion_graph.graph import Graph
from chrion_graph.normalise import normalise
from chrion_graph.rewrite import ways
from chrion_models.families.case import ModelCase
from chrion_models.families.unrolled import unrolled

GRAPHS: dict[str, Callable[[], ModelCase]] = {
    "lstm-4-layers-10k": partial(unrolled, "LSTM", 4, 16, 192, 1),
    "gru-16-layers-10k": partial(unrolled, "GRU", 16, 16, 35, 1, "matmul", "slice"),
    "lstm-8-layers-100k": partial(unrolled, "LSTM", 8, 16, 930, 1),
    "gru-32-layers-100k": partial(unrolled, "GRU", 32, 16, 155, 1, "matmul", "slice"),
}
"""Large graphs of unrolled cells by name; the largest are just within the limit that loading sets by default."""


def proposed(name: str) -> dict[str, Any]:
    """Looks for all ways to rewrite the graph here; seconds, the process's peak memory, and the ways by their names."""
    with workplace() as folder:
        original = folder / "original.onnx"
        onnx.save(GRAPHS[name]().build(), original)
        normalise(original, folder / "normalised")
        graph = Graph.load(folder / "normalised")
        before = peak_bytes()
        began = time.perf_counter()
        found = ways(graph)
        seconds = time.perf_counter() - began
    return {
        "name": name,
        "nodes": len(graph.nodes),
        "ways": [" ".join(rewrite.name for rewrite in rewrites) for rewrites, _ in found],
        "seconds": seconds,
        "peakBytes": peak_bytes(),
        "graphBytes": before,
    }


if __name__ == "__main__":
    print(json.dumps(proposed(sys.argv[1])))
