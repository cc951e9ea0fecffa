"""Run a graph once and look at every value: the shapes of a bucket, and real values to profile nodes with."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from chrion_graph.errors import InvalidModel, LimitExceeded
from chrion_graph.graph import Graph
from chrion_graph.limits import Limits
from chrion_graph.model_worker import ModelWorker, isolated
from chrion_graph.ort import brief, session_options


def observe(
    graph: Graph, feeds: Mapping[str, NDArray[Any]], limits: Limits | None = None, worker: ModelWorker | None = None
) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor when the graph runs on `feeds`.

    Works in a child process, in `worker` where one is given, with the limits' time and memory. Raises LimitExceeded
    where the run does not end or needs too much memory, InvalidModel where it fails.
    """
    limits = limits or Limits()
    what = "one run of the model"
    if loops := sorted({node.op_type for node in graph.nodes} & {"Loop", "Scan"}):
        what += f" (it holds {' and '.join(loops)} nodes)"
    arguments = graph.model.SerializeToString(), graph.folder, dict(feeds)
    seconds = limits.seconds_for(len(graph.nodes))
    if worker is not None:
        return worker.call(_observe, *arguments, seconds=seconds, what=what)
    return isolated(_observe, *arguments, memory_bytes=limits.memory, seconds=seconds, what=what)


def _observe(model: bytes, folder: Path, feeds: dict[str, NDArray[Any]]) -> dict[str, tuple[int, ...]]:
    graph = Graph(onnx.load_from_string(model), folder)
    values = evaluate(graph, feeds, graph.types.keys() - graph.inputs.keys())
    return {name: value.shape for name, value in {**feeds, **values}.items()}


def evaluate(graph: Graph, feeds: Mapping[str, NDArray[Any]], names: Collection[str]) -> dict[str, NDArray[Any]]:
    """The values of `names` when the graph runs on `feeds`, in this process, on one CPU thread."""
    probe = onnx.ModelProto()
    probe.CopyFrom(graph.model)
    wanted = sorted(set(names) - graph.outputs.keys() - graph.inputs.keys())
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    options = session_options(ort.GraphOptimizationLevel.ORT_DISABLE_ALL)
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(graph.folder))
    try:
        session = ort.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
        found = session.run(sorted(names), dict(feeds)) if names else []
    except Exception as error:  # noqa: BLE001, ONNX Runtime raises many types
        text = brief(error)
        if isinstance(error, MemoryError) or "bad_alloc" in text or "Failed to allocate" in text:
            raise LimitExceeded(
                f"one run of the model needs more memory than the limit allows; raise --max-memory ({text})"
            ) from None
        raise InvalidModel(f"the model fails when it runs with these input shapes: {text}") from None
    return {name: np.asarray(value) for name, value in zip(sorted(names), found, strict=True)}
