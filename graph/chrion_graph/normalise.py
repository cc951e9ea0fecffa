"""Normalise a model once: optimised at ONNX Runtime's BASIC level, every value's type written down.

BASIC results are bit-equal to the original's; integer divisions that could end the process are guarded (`division.py`).
The result is a folder: `model.onnx`, `weights.bin` that it and every sub-model cut from it share, and their digests, by
which damage is noticed later.
"""

from pathlib import Path

import onnx
import onnxruntime as ort

from chrion_graph.division import guard_divisions
from chrion_graph.errors import InvalidModel
from chrion_graph.limits import Limits
from chrion_graph.load import digest, read_model
from chrion_graph.model_worker import ModelWorker
from chrion_graph.ort import brief, session_options
from chrion_graph.seal import seal
from chrion_graph.tidy import tidy
from chrion_graph.types import TensorType

MODEL_FILE = "model.onnx"
WEIGHTS_FILE = "weights.bin"
FILES = (WEIGHTS_FILE, MODEL_FILE)
_INLINE_BYTES = 256
"""Initializers below this stay in the model's file, where shape computations can see them."""


def normalise(path: Path, folder: Path, limits: Limits | None = None) -> str:
    """Check the model at `path` and write its normalised form into `folder`; returns the model's digest.

    Works in a child process with the limits' time and memory. Raises ModelError.
    """
    limits = limits or Limits()
    folder.mkdir(parents=True, exist_ok=True)
    what = f"{path}: loading"
    with ModelWorker(limits.memory) as worker:
        nodes = worker.call(_checked_nodes, path, limits, seconds=limits.seconds, what=what)
        return worker.call(_normalise, path, folder, limits, seconds=limits.seconds_for(nodes), what=what)


def _checked_nodes(path: Path, limits: Limits) -> int:
    """How many nodes a model has that is fit to be loaded: to read it takes little of the time that loading does."""
    return len(read_model(path, limits).graph.node)


def _normalise(path: Path, folder: Path, limits: Limits) -> str:
    read_model(path, limits)
    target = folder / MODEL_FILE
    _optimise(path, target)
    model = onnx.load(target, load_external_data=False)
    tidy(model.graph)
    _only_tensors(path, model.graph)
    _annotate(path, model, folder)
    if guard_divisions(model):
        _annotate(path, model, folder)
    onnx.save(model, target)
    seal(folder, FILES)
    return digest(path, limits)


def _optimise(path: Path, target: Path) -> None:
    options = session_options(ort.GraphOptimizationLevel.ORT_ENABLE_BASIC)
    options.optimized_model_filepath = str(target)
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", WEIGHTS_FILE)
    options.add_session_config_entry(
        "session.optimized_model_external_initializers_min_size_in_bytes", str(_INLINE_BYTES)
    )
    _load(path, path, options)
    if not target.with_name(WEIGHTS_FILE).exists():
        target.with_name(WEIGHTS_FILE).touch()
    if not target.exists():
        raise InvalidModel(
            f"{path}: ONNX Runtime loaded it but could not write it to {target.parent}; is the disk full?"
        )


def _load(path: Path, file: Path, options: ort.SessionOptions) -> ort.InferenceSession:
    """A session of `file`, which is the model at `path` or made of it. Raises InvalidModel."""
    try:
        return ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except MemoryError:
        raise
    except Exception as error:
        if "bad_alloc" in str(error) or "Failed to allocate" in str(error):
            raise
        raise InvalidModel(f"{path}: ONNX Runtime cannot load it: {brief(error)}") from None


def _annotate(path: Path, model: onnx.ModelProto, folder: Path) -> None:
    """Write the type of every value between nodes into `value_info`, as ONNX Runtime infers it."""
    graph = model.graph
    known = {value.name for value in graph.output}
    between = [name for node in graph.node for name in node.output if name and name not in known]
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.value_info[:]
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in between)
    file = folder / "types.onnx"
    onnx.save(probe, file)
    try:
        session = _load(path, file, session_options(ort.GraphOptimizationLevel.ORT_DISABLE_ALL))
    finally:
        file.unlink()
    del graph.value_info[:]
    for value in session.get_outputs():
        if value.name in known:
            continue
        found = TensorType.from_ort(value.type, value.shape)
        if found is not None:
            graph.value_info.append(onnx.helper.make_value_info(value.name, found.to_proto()))


def _only_tensors(path: Path, graph: onnx.GraphProto) -> None:
    for side, values in (("input", graph.input), ("output", graph.output)):
        for value in values:
            if TensorType.from_proto(value.type) is None:
                raise InvalidModel(
                    f'{path}: {side} "{value.name}" is no tensor of a type that numpy has; sequences, optionals, maps, '
                    "bfloat16 and smaller floats are not supported there"
                )
