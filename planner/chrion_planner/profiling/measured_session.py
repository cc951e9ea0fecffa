"""Sessions that are measured: loaded, and bound in advance to values that lie where they are needed.

Runs inside a worker process.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from chrion_api import Optimization
from chrion_graph.types import STRING
from chrion_runtime.devices import Device


def load(model: onnx.ModelProto, device: Device, folder: Path, lanes: int = 1) -> ort.InferenceSession:
    """A session of a model whose weights lie in `folder`; nothing is optimised."""
    path = folder / "probe.onnx"
    onnx.save(model, path)
    return device.session(path, lanes, Optimization.NONE, spin=False)


class MeasuredSession:
    """A session that runs on these arrays; all that can be bound in advance is."""

    def __init__(
        self, session: ort.InferenceSession, model: onnx.ModelProto, arrays: Sequence[NDArray[Any]], device: Device
    ) -> None:
        self._device, self._session = device, session
        self._inputs = [value.name for value in model.graph.input]
        self._outputs = [value.name for value in model.graph.output]
        values = (*model.graph.input, *model.graph.output)
        self._strings = any(value.type.tensor_type.elem_type == STRING for value in values)
        self._loose = [device.put(array) for array in arrays]
        if not self._strings:
            self._bind(arrays)

    def _bind(self, arrays: Sequence[NDArray[Any]]) -> None:
        self._binding = self._session.io_binding()
        self._held: list[ort.OrtValue] = []  # a binding does not keep its values alive
        for name, array in zip(self._inputs, arrays, strict=True):
            self._held.append(_resident(self._device, array))
            self._binding.bind_ortvalue_input(name, self._held[-1])
        made = self._device.run(self._session, self._inputs, self._loose, self._outputs)
        for name, value in zip(self._outputs, made, strict=True):
            example = self._device.get(value)
            self._held.append(self._device.allocate(example.dtype, example.shape))
            self._binding.bind_ortvalue_output(name, self._held[-1])
        self._loose.clear()

    @property
    def nbytes(self) -> int:
        """What the values take that it is bound to; 0 for strings, which cannot be bound."""
        return 0 if self._strings else sum(value.tensor_size_in_bytes() for value in self._held)

    def run(self) -> None:
        """Run once."""
        if self._strings:
            self._device.run(self._session, self._inputs, self._loose, self._outputs)
        else:
            self._session.run_with_iobinding(self._binding)


def _resident(device: Device, array: NDArray[Any]) -> ort.OrtValue:
    value = device.allocate(array.dtype, array.shape)
    value.update_inplace(np.ascontiguousarray(array))
    return value
