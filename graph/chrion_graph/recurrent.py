"""ONNX's recurrent operators LSTM, GRU and RNN: which nodes they are, and what is where among their inputs."""

from onnx import NodeProto

RECURRENT = ("LSTM", "GRU", "RNN")
"""ONNX's recurrent operators."""

X, W, R, B, SEQUENCE_LENS, INITIAL_H, INITIAL_C, P = range(8)
"""Places of their inputs, by the names of ONNX's schema; P are an LSTM's peepholes."""


def is_recurrent(node: NodeProto) -> bool:
    """Whether a node is one of them."""
    return node.op_type in RECURRENT and node.domain in ("", "ai.onnx")


def optional_input(node: NodeProto, place: int) -> str:
    """The value at one place; "" where it is left out."""
    return node.input[place] if len(node.input) > place else ""


def direction(node: NodeProto) -> bytes:
    """`forward`, `reverse` or `bidirectional`."""
    return next((entry.s for entry in node.attribute if entry.name == "direction"), b"forward")
