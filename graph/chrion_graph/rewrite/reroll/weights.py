"""The weights of recurrent layers in ONNX's layout, put together from the parts that the gates of a cell use."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from chrion_graph.rewrite.reroll.cells import Role
from chrion_graph.rewrite.reroll.chains import Chain
from chrion_graph.rewrite.reroll.parts import View, bias, weight
from chrion_graph.rewrite.support.constants import Constants, refer
from chrion_graph.rewrite.support.reading import Reading
from chrion_graph.types import tensor_bytes

Block = tuple[View, ...]
"""What one input is multiplied with for one gate: the sum of these, or nothing."""


class Weights(Constants):
    """The new constants of a rewritten graph; layers with the same weights share them."""

    def __init__(self, reading: Reading) -> None:
        super().__init__(reading.graph.folder)
        self._reading = reading
        self._names: dict[object, str] = {}

    def from_input(self, chain: Chain, name: str) -> str:
        """W, [1, gates * hidden, features of all inputs side by side]."""
        return self._matrix(chain.input_roles, chain.pattern.kind.input_gates, chain.pattern.hidden, name)

    def from_state(self, chain: Chain, name: str) -> str:
        """R, [1, gates * hidden, hidden]."""
        return self._matrix((chain.role,), chain.pattern.kind.state_gates, chain.pattern.hidden, name)

    def biases(self, chain: Chain, name: str) -> str:
        """B, [1, 2 * gates * hidden]; no name where a layer has no biases."""
        kind, parts = chain.pattern.kind, chain.pattern.biases
        if not any(parts):
            return ""
        if (kind, parts) not in self._names:
            values = [bias(self._reading, part, chain.pattern.hidden)[0] for part in parts]
            given = [values[gate] for gate in kind.input_gates]
            # The second half matters only where a GRU's reset gate multiplies it; else all is summed up in the first.
            added = [np.zeros_like(value) for value in given[:-1]]
            added.append(values[-1] if kind.op_type == "GRU" else np.zeros_like(given[0]))
            self._names[kind, parts] = self.add(name, np.concatenate(given + added)[None])
        return self._names[kind, parts]

    def _matrix(self, roles: Sequence[Role], gates: tuple[int, ...], hidden: int, name: str) -> str:
        """The weights of some gates for inputs side by side, each block as [hidden, features]."""
        blocks = tuple(tuple(role[gate] for gate in gates) for role in roles)
        if blocks not in self._names:
            if not self._referred(blocks, name):
                columns = [np.concatenate([self._block(block, part, hidden) for block in part]) for part in blocks]
                self.add(name, np.concatenate(columns, axis=1)[None])
            self._names[blocks] = name
        return self._names[blocks]

    def _block(self, block: Block, beside: Sequence[Block], hidden: int) -> npt.NDArray[np.float32]:
        start, stop = next(views[0].rows for views in beside if views)
        total = np.zeros((hidden, stop - start), np.float32)
        return sum((weight(self._reading, view).T for view in block), total)

    def _referred(self, blocks: tuple[tuple[Block, ...], ...], name: str) -> bool:
        """Whether the blocks lie as they should in the model's own file; then they are referred to, not copied."""
        views = [view for part in blocks for block in part for view in block]
        if len(blocks) != 1 or any(len(block) != 1 for block in blocks[0]):
            return False
        source = self._reading.constants[views[0].weight]
        whole = (0, source.dims[1])
        if source.data_location != TensorProto.EXTERNAL or any(
            view[:2] != (source.name, whole) or not view.transposed or view.scale != 1 for view in views
        ):
            return False
        if any(before.columns[1] != after.columns[0] for before, after in pairwise(views)):
            return False
        start, stop = views[0].columns[0], views[-1].columns[1]
        entries = {entry.key: entry.value for entry in source.external_data}
        tensor = TensorProto(name=name, data_type=source.data_type, dims=(1, stop - start, source.dims[1]))
        row = tensor_bytes(source.data_type, (source.dims[1],))
        refer(tensor, entries["location"], int(entries.get("offset", "0")) + start * row)
        self.tensors.append(tensor)
        return True
