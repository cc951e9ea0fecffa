"""What a check of a model says: a document, which the command prints and writes as JSON."""

from enum import StrEnum

from chrion_api.document import Document

Axes = tuple[int | str | None, ...]
"""Sizes; an open axis is its name, or None."""


class Outlook(StrEnum):
    """Whether planning is likely to find more than ONNX Runtime's default session."""

    LIKELY = "Likely"
    POSSIBLE = "Possible"
    LITTLE = "Little"
    BLOCKED = "Blocked"
    """The model cannot be planned as it is."""


class EdgeValue(Document):
    """An input or output of the model."""

    name: str
    type: str
    """Its element type, such as float32; in words where it is no tensor."""
    axes: Axes | None = None
    """None for an open rank, and for what is no tensor."""


class ControlFlow(Document):
    """An If, Loop or Scan of the model's own graph."""

    operator: str
    name: str
    nodes: int
    """Nodes inside it, however deep, but for constants."""
    decided_by: tuple[str, ...] = ()
    """Inputs whose values say which branch is taken, or how often it goes round."""


class ModelContents(Document):
    """What is in the model's file."""

    opset: int
    inputs: tuple[EdgeValue, ...]
    outputs: tuple[EdgeValue, ...]
    weight_bytes: dict[str, int]
    """Bytes of all constants, by element type, the most first."""
    precision: str
    """What it computes in, such as `float32` or `int8 (QDQ)`."""
    nodes: int
    """All nodes, those inside control flow too, but for constants."""
    operators: dict[str, int]
    """How many nodes of each operator, the most first."""
    control_flow: tuple[ControlFlow, ...] = ()


class LayerCheck(Document):
    """A recurrent layer, and who would run it."""

    kind: str
    name: str
    direction: str
    inputs: int | None = None
    hidden: int | None = None
    steps: int | str | None = None
    """Its time axis: a size, or an open axis by its name; None where neither is known."""
    batch: int | str | None = None
    weights: str = ""
    """The element type that its weights are kept in; empty where that is not known."""
    made_by: str = ""
    """The rewrite that makes it of nodes of the model; empty for a layer that the model has."""
    inside: str = ""
    """The control flow in whose body it is, as an operator and a name."""
    lacking: str = ""
    """What keeps Chrion's kernels from running it; empty where they do."""


class Obstacle(Document):
    """What stands in the way of planning the model, or of gaining by it."""

    problem: str
    way_out: str
    blocks: bool = False
    """Whether the model cannot be planned until it is gone."""


class ModelCheck(Document):
    """What a model holds, what would run where, and whether planning is likely to gain."""

    model: str
    """The path of its file."""
    contents: ModelContents
    layers: tuple[LayerCheck, ...]
    onnxruntime: dict[str, int]
    """Nodes that ONNX Runtime would run, by operator, the most first; constants are folded and layers re-rolled."""
    outlook: Outlook
    reasons: tuple[str, ...]
    obstacles: tuple[Obstacle, ...]
    command: str | None = None
    """What to type next; None where the model cannot be planned."""
