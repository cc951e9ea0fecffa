"""New constants of a rewritten graph: parts of old ones referred to where they lie, others in a file of their own."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, numpy_helper

from chrion_graph.files import write_aside
from chrion_graph.types import tensor_bytes

_INLINE_BYTES = 2048
_ALIGNMENT = 64


class Constants:
    """The constants that a rewrite adds to a graph whose weights lie in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.tensors: list[TensorProto] = []
        self._folder = folder
        self._blob = bytearray()
        self._aside: list[tuple[TensorProto, int]] = []

    def add(self, name: str, values: npt.NDArray[Any]) -> str:
        """A new constant, under this name; a large one goes to a file when all are saved."""
        if values.nbytes <= _INLINE_BYTES:
            self.tensors.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
            return name
        self._blob.extend(bytes(-len(self._blob) % _ALIGNMENT))
        element = numpy_helper.from_array(np.empty(0, values.dtype)).data_type
        tensor = TensorProto(name=name, data_type=element, dims=values.shape)
        self.tensors.append(tensor)
        self._aside.append((tensor, len(self._blob)))
        self._blob.extend(values.astype(values.dtype.newbyteorder("<")).tobytes())
        return name

    def rows(self, name: str, whole: TensorProto, start: int, stop: int) -> str:
        """Rows of a constant under a name of their own; external data is referred to, not copied."""
        dims = (stop - start, *whole.dims[1:])
        row = tensor_bytes(whole.data_type, tuple(whole.dims[1:]))
        tensor = TensorProto(name=name, data_type=whole.data_type, dims=dims)
        if whole.data_location == TensorProto.EXTERNAL:
            entries = {entry.key: entry.value for entry in whole.external_data}
            refer(tensor, entries["location"], int(entries.get("offset", "0")) + start * row)
        else:
            tensor.raw_data = numpy_helper.to_array(whole)[start:stop].tobytes()
        self.tensors.append(tensor)
        return name

    def save(self) -> None:
        """Write the large ones to a file beside the model that is named by its content. Raises WriteFailed."""
        if self._aside:
            file = f"weights-{hashlib.sha256(self._blob).hexdigest()[:16]}.bin"
            if not (self._folder / file).exists():
                write_aside(self._folder / file, bytes(self._blob))
            for tensor, offset in self._aside:
                refer(tensor, file, offset)


def refer(tensor: TensorProto, location: str, offset: int) -> None:
    """Have a constant's data where it lies in a file."""
    size = tensor_bytes(tensor.data_type, tuple(tensor.dims))
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(size))):
        tensor.external_data.add(key=key, value=value)
