"""Read a model's file without trusting it: size, nodes and external data are checked before anything is loaded."""

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from chrion_graph.bodies import bodies
from chrion_graph.errors import InvalidModel, LimitExceeded, UnsafeModel
from chrion_graph.limits import Limits


def read_model(path: Path, limits: Limits | None = None) -> onnx.ModelProto:
    """Parse and check a model's file; external data stays where it is.

    Raises InvalidModel, UnsafeModel or LimitExceeded, each naming the file.
    """
    limits = limits or Limits()
    model = _parse(path, limits)
    nodes = sum(1 for _ in all_nodes(model))
    if nodes > limits.nodes:
        raise LimitExceeded(f"{path}: has {nodes:,} nodes; the limit is {limits.nodes:,}; raise --max-nodes")
    total = path.stat().st_size
    for data in _external_files(model, path, limits):
        total += data.stat().st_size
    if total > limits.model_bytes:
        raise LimitExceeded(
            f"{path}: has {total:,} bytes with its external data; the limit is {limits.model_bytes:,}; "
            "raise --max-model-bytes"
        )
    return model


def digest(path: Path, limits: Limits | None = None) -> str:
    """SHA-256 that names a model: of its file, or of its file's and external files' digests where it has any."""
    limits = limits or Limits()
    return _digest(_parse(path, limits), path, limits)


def checked_digest(path: Path, limits: Limits) -> str:
    """The digest of a model that has passed `read_model`, at the price of reading it once. Raises as that does."""
    return _digest(read_model(path, limits), path, limits)


def _digest(model: onnx.ModelProto, path: Path, limits: Limits) -> str:
    external = sorted(_external_files(model, path, limits))
    own = file_digest(path)
    if not external:
        return own
    lines = [own, *(f"{file_digest(data)} {data.name}" for data in external)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@dataclass(frozen=True)
class Contents:
    """What a model's file alone says of the model."""

    external: tuple[str, ...]
    """The external data files that it names, relative to its folder; they need not be there yet."""
    sha256: str | None
    """The model's digest, as `digest` has it; None where it depends on external data."""


def look_into(path: Path, limits: Limits | None = None) -> Contents:
    """What to fetch beside a model's file.

    Raises InvalidModel, LimitExceeded for too many files, UnsafeModel where data lies outside its folder.
    """
    limits = limits or Limits()
    model = _parse(path, limits)
    folder = path.parent.resolve()
    found = _external_tensors(model, path, limits)
    names = tuple(sorted(str(data.relative_to(folder)) for data in found))
    return Contents(names, None if names else file_digest(path))


def graphs(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """The main graph and every control-flow body in it, functions' bodies too."""
    pending: list[onnx.GraphProto] = [model.graph]
    nodes = [node for function in model.functions for node in function.node]
    while pending or nodes:
        if pending:
            graph = pending.pop()
            yield graph
            nodes.extend(graph.node)
        for node in nodes:
            pending.extend(bodies(node))
        nodes = []


def _parse(path: Path, limits: Limits) -> onnx.ModelProto:
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise InvalidModel(f"{path}: is not a file")
        if size > limits.model_bytes:
            raise LimitExceeded(
                f"{path}: has {size:,} bytes; the limit is {limits.model_bytes:,}; raise --max-model-bytes"
            )
        model = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise InvalidModel(f"{path}: cannot be read: {error.strerror or error}") from None
    except (DecodeError, RuntimeError, ValueError):
        raise InvalidModel(
            f"{path}: is not an ONNX file, or is damaged, cut short or nested deeper than an ONNX file may be"
        ) from None
    if not model.ir_version or not model.graph.node or not model.opset_import:
        raise InvalidModel(f"{path}: is not an ONNX file: it has no ir_version, no opset_import or no nodes")
    if not model.graph.output:
        raise InvalidModel(f"{path}: the model has no outputs; name them in the graph")
    return model


def all_nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Every node, those inside control-flow bodies and functions too."""
    for graph in graphs(model):
        yield from graph.node
    for function in model.functions:
        yield from function.node


def all_tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor that the file holds or refers to: initializers, and attributes of nodes."""
    sparse = []
    for graph in graphs(model):
        yield from graph.initializer
        sparse.extend(graph.sparse_initializer)
    for node in all_nodes(model):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            sparse.extend((attribute.sparse_tensor, *attribute.sparse_tensors))
    for tensor in sparse:
        yield tensor.values
        yield tensor.indices


def _external_files(model: onnx.ModelProto, path: Path, limits: Limits) -> Collection[Path]:
    """The external data files of a model; each is a plain file inside the model's folder, long enough."""
    found = _external_tensors(model, path, limits)
    for data, tensors in found.items():
        if not data.is_file():
            raise InvalidModel(
                f'{path}: tensor "{tensors[0].name}" needs the external data file {data}, which is missing'
            )
        status = data.stat()
        if status.st_nlink > 1:
            raise UnsafeModel(
                f"{path}: the external data file {data} is a hard link, which may lead out of the model's folder; "
                "put a copy in its place"
            )
        for tensor in tensors:
            _check_extent(tensor, path, data, status.st_size)
    return found.keys()


def _check_extent(tensor: onnx.TensorProto, path: Path, data: Path, size: int) -> None:
    entries = _entries(tensor)
    try:
        offset, length = int(entries.get("offset", "0")), int(entries.get("length", "0"))
    except ValueError:
        raise InvalidModel(f'{path}: tensor "{tensor.name}" has an offset or length that is not a number') from None
    if offset < 0 or length < 0:
        raise InvalidModel(f'{path}: tensor "{tensor.name}" has a negative offset or length')
    end = offset + length
    if end > size:
        raise InvalidModel(f'{path}: tensor "{tensor.name}" ends at byte {end:,}, past the end of {data}')


def _external_tensors(model: onnx.ModelProto, path: Path, limits: Limits) -> dict[Path, list[onnx.TensorProto]]:
    """The tensors that keep their data in other files, by where these are to be, there or not."""
    by_location: dict[str, list[onnx.TensorProto]] = {}
    for tensor in all_tensors(model):
        if _is_external(tensor):
            by_location.setdefault(_entries(tensor).get("location", ""), []).append(tensor)
            if len(by_location) > limits.external_files:
                raise LimitExceeded(
                    f"{path}: keeps its data in more than {limits.external_files:,} files, which is the limit; save it "
                    "with all data in one file (onnx.save_model with all_tensors_to_one_file=True)"
                )
    found: dict[Path, list[onnx.TensorProto]] = {}
    for tensors in by_location.values():
        found.setdefault(_location(tensors[0], path), []).extend(tensors)
    return found


def _is_external(tensor: onnx.TensorProto) -> bool:
    return tensor.data_location == onnx.TensorProto.EXTERNAL


def _entries(tensor: onnx.TensorProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}


def _location(tensor: onnx.TensorProto, path: Path) -> Path:
    """Where a tensor keeps its data, there or not: a plain path inside the model's folder."""
    folder = path.parent.resolve()
    location = _entries(tensor).get("location", "")
    if location and "\0" not in location and not Path(location).is_absolute():
        data = folder / location
        if data != folder and data.resolve() == data and data.is_relative_to(folder):
            return data
    raise UnsafeModel(
        f'{path}: tensor "{tensor.name}" keeps its data at "{location}", which is not a plain path inside '
        "the model's folder; no absolute path, .. or link is followed"
    )


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
