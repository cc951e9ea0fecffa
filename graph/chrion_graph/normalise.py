"""Normalise a model once: optimised at ONNX Runtime's BASIC level, every value's type written down.

BASIC results are bit-equal to the original's; integer divisions that could end the process are guarded (`division.py`).
Where any of that fails on a model that ONNX Runtime's default session loads, the model stays as it is, in one piece.

The result is a folder: `model.onnx`, `weights.bin` that it and every sub-model cut from it share, and their digests, by
which damage is noticed later.
"""

from collections.abc import Collection
from pathlib import Path

import onnx
import onnxruntime as ort
from onnx.external_data_helper import convert_model_to_external_data

from chrion_graph.division import guard_divisions
from chrion_graph.errors import InvalidModel
from chrion_graph.limits import Limits
from chrion_graph.load import all_tensors, digest, read_model
from chrion_graph.model_worker import ModelWorker
from chrion_graph.optional_inputs import keep_inputs, load_inline, optional_inputs, required_inputs
from chrion_graph.ort import brief, session_options
from chrion_graph.seal import seal
from chrion_graph.tidy import tidy
from chrion_graph.types import TensorType, tensor_bytes

MODEL_FILE = "model.onnx"
WEIGHTS_FILE = "weights.bin"
FILES = (WEIGHTS_FILE, MODEL_FILE)
_INLINE_BYTES = 256
"""Initializers below this stay in the model's file, where shape computations can see them."""
_INLINE_INTEGER_BYTES = 1 << 20
"""Integers up to this do too: the sizes of a Split with many outputs, say. Weights are other types."""
_INTEGERS = (onnx.TensorProto.INT32, onnx.TensorProto.INT64)
_CAST = "cast it inside the model to a type that numpy has"
_ZIPMAP = "of a scikit-learn classifier, export with zipmap=False"
_WAYS_OUT = {
    ("input", "sequence_type"): "take one tensor, and split it inside the model (SplitToSequence)",
    ("output", "sequence_type"): f"put it together inside the model (ConcatFromSequence); {_ZIPMAP}",
    ("output", "map_type"): _ZIPMAP,
    ("input", "optional_type"): "take the tensor itself",
    ("output", "optional_type"): "unpack it inside the model (OptionalGetElement)",
}
"""What to do about an input or an output that is no tensor."""
_Inputs = tuple[Collection[str], Collection[str]]
"""The inputs of a model that are required, and those that are optional."""
UNCHANGED = "chrion.unchanged"
"""The metadata of a model that stays as it is; its value says why."""


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
    try:
        return _normalised(path, folder, limits)
    except OSError as error:
        raise InvalidModel(f"{path}: cannot be written to {folder}: {error.strerror}; is the disk full?") from None


def _normalised(path: Path, folder: Path, limits: Limits) -> str:
    original = read_model(path, limits)
    inputs = required_inputs(original), optional_inputs(original)
    del original
    try:
        model = _optimised(path, folder, inputs)
    except (MemoryError, OSError):
        raise
    except Exception as error:  # noqa: BLE001, whatever it is that cannot cope with this model
        model = _unchanged(path, folder, inputs, brief(error))
    check_edges(path, model.graph)
    onnx.save(model, folder / MODEL_FILE)
    seal(folder, FILES)
    return digest(path, limits)


def _optimised(path: Path, folder: Path, inputs: _Inputs) -> onnx.ModelProto:
    """The model at ONNX Runtime's BASIC level, its weights in `folder`, with the types of all values."""
    target = folder / MODEL_FILE
    _optimise(path, target)
    model = onnx.load(target, load_external_data=False)
    _inline_integers(model, folder)
    keep_inputs(model, folder, *inputs)
    tidy(model.graph)
    _annotate(path, model, folder)
    if guard_divisions(model):
        _annotate(path, model, folder)
    return model


def _unchanged(path: Path, folder: Path, inputs: _Inputs, why: str) -> onnx.ModelProto:
    """The model as it is, its weights in `folder`. Raises InvalidModel where the default session does not load it.

    Nothing says the types of its inner values, so that its nodes cannot be parted (`Graph.unit`).
    """
    session = _load(path, path, session_options(ort.GraphOptimizationLevel.ORT_ENABLE_ALL))
    model = onnx.load(path)
    for value, known in zip(model.graph.output, session.get_outputs(), strict=True):
        kind = TensorType.from_ort(known.type, known.shape)
        if kind is not None and not value.HasField("type"):
            value.type.CopyFrom(kind.to_proto())
    convert_model_to_external_data(model, location=WEIGHTS_FILE, size_threshold=_INLINE_BYTES)
    (folder / WEIGHTS_FILE).unlink(missing_ok=True)
    onnx.save(model, folder / MODEL_FILE)
    (folder / WEIGHTS_FILE).touch()
    model = onnx.load(folder / MODEL_FILE, load_external_data=False)
    _inline_integers(model, folder)
    keep_inputs(model, folder, *inputs)
    tidy(model.graph)
    del model.graph.value_info[:]
    model.metadata_props.add(key=UNCHANGED, value=why.removeprefix(f"{path}: "))
    return model


def _inline_integers(model: onnx.ModelProto, folder: Path) -> None:
    """Bring integers back into the model's file, where shape inference can read them, as it must."""
    for tensor in all_tensors(model):
        if (
            tensor.data_type in _INTEGERS
            and tensor_bytes(tensor.data_type, tuple(tensor.dims)) <= _INLINE_INTEGER_BYTES
        ):
            load_inline(tensor, folder)


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


def check_edges(path: Path, graph: onnx.GraphProto) -> None:
    """Raise InvalidModel, with the way out, where an input or an output is declared to be no tensor that numpy has."""
    for side, values in (("input", graph.input), ("output", graph.output)):
        for value in values:
            if value.type.WhichOneof("value") and TensorType.from_proto(value.type) is None:
                way_out = _WAYS_OUT.get((side, str(value.type.WhichOneof("value"))), _CAST)
                raise InvalidModel(
                    f'{path}: {side} "{value.name}" must be a tensor of a type that numpy has, not '
                    f"{_written(value.type)}: {way_out}"
                )


def _written(kind: onnx.TypeProto) -> str:
    """A type in short, such as `sequence of map`."""
    what = str(kind.WhichOneof("value") or "value of no type").removesuffix("_type")
    if what == "tensor":
        return f"tensor of {onnx.TensorProto.DataType.Name(kind.tensor_type.elem_type).lower()}"
    return f"sequence of {_written(kind.sequence_type.elem_type)}" if what == "sequence" else what
