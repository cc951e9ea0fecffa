"""Read single attributes of a node."""

from onnx import NodeProto


def integer(node: NodeProto, name: str, default: int) -> int:
    """A whole-number attribute."""
    return next((int(entry.i) for entry in node.attribute if entry.name == name), default)


def real(node: NodeProto, name: str, default: float) -> float:
    """A floating-point attribute."""
    return next((float(entry.f) for entry in node.attribute if entry.name == name), default)
