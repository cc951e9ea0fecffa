"""Lengths of single sequences (`sequence_lens`), chunk by chunk, in layers that run forward.

ONNX Runtime 1.31 answers zeros for the steps after a sequence's end, and a zero state, not the initial one, for a
sequence of length zero. So the first chunk is right as it is: each sequence that is not empty has a step in it. After
every later chunk the state of a sequence that had ended before is the one from before the chunk.
"""

from onnx import TensorProto

from chrion_graph.rewrite.wavefront.bounds import Bounds
from chrion_graph.rewrite.wavefront.writer import Writer
from chrion_graph.types import TensorType

OLDEST_OPSET = 12
"""Of Min and Max on integers."""


class Lengths:
    """What is left of some sequences, whose lengths are `name`, in each chunk."""

    def __init__(self, writer: Writer, name: str, bounds: Bounds, batch: int | str | None) -> None:
        self._writer = writer
        count = bounds.chunks
        grid, column = TensorType(TensorProto.INT64, (count, batch)), writer.constant(count, 1)
        starts, ends = (
            writer.made(
                "Reshape",
                [writer.integers("Concat", *places, size=count, axis=0), column],
                TensorType(TensorProto.INT64, (count, 1)),
            )
            for places in (bounds.starts, bounds.ends)
        )
        lengths = writer.made("Cast", [name], TensorType(TensorProto.INT64, (batch,)), to=TensorProto.INT64)
        steps = writer.made("Sub", [writer.made("Min", [lengths, ends], grid), starts], grid)
        left = writer.made("Max", [steps, writer.constant(0)], grid)
        ended = writer.made("Equal", [left, writer.constant(0)], TensorType(TensorProto.BOOL, (count, batch)))
        size = count * batch if isinstance(batch, int) else None
        flat = writer.made("Reshape", [left, writer.constant(-1)], TensorType(TensorProto.INT64, (size,)))
        flat = writer.made("Cast", [flat], TensorType(TensorProto.INT32, (size,)), to=TensorProto.INT32)
        shape = writer.constant(count, -1, 1)
        ended = writer.made("Reshape", [ended, shape], TensorType(TensorProto.BOOL, (count, batch, 1)))
        self.of_chunk = writer.parts(flat, count, TensorType(TensorProto.INT32, (batch,)))
        """The lengths that each chunk sees, [batch]."""
        self._ended = writer.parts(ended, count, TensorType(TensorProto.BOOL, (1, batch, 1)))

    def state(self, place: int, before: str, after: str, name: str, kind: TensorType) -> None:
        """Write the state after a chunk but the first as `name`, of those before it and as the chunk gives it."""
        self._writer.node("Where", [self._ended[place], before, after], name, kind)
