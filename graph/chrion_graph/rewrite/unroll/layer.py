"""Read a recurrent node: all that its cells need to know, or that it cannot be taken apart."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from onnx import NodeProto, helper

from chrion_graph.rewrite.reroll.reading import Reading, integer, real
from chrion_graph.types import RECURRENT

_X, _W, _R, _B, _LENGTHS, _INITIAL_H, _INITIAL_C, _PEEPHOLES = range(8)
_DEFAULTS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
_HARD_SIGMOID = (0.2, 0.5)
_PLAIN = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu"}


class Activation(NamedTuple):
    """An operator with its attributes."""

    op_type: str
    alpha: float | None = None
    beta: float | None = None


@dataclass(frozen=True)
class Layer:
    """A recurrent node over a known number of steps, whose weights are constants."""

    node: NodeProto
    hidden: int
    steps: int
    reverse: tuple[bool, ...]
    """One entry a direction: whether it runs from the last step to the first."""
    activations: tuple[tuple[Activation, ...], ...]
    """One entry a direction."""
    clip: float
    """What the inputs of activations are kept within, on both sides of zero; 0 for no limit."""
    linear_before_reset: bool
    input_forget: bool

    @property
    def cells(self) -> int:
        """Steps of all directions together."""
        return self.steps * len(self.reverse)

    def input(self, position: int) -> str:
        """The name of an input; "" where it is left out."""
        return self.node.input[position] if len(self.node.input) > position else ""

    @property
    def sequence(self) -> str:
        """X, [steps, batch, features]."""
        return self.input(_X)

    @property
    def weights(self) -> str:
        """W, [directions, gates * hidden, features]."""
        return self.input(_W)

    @property
    def recurrence(self) -> str:
        """R, [directions, gates * hidden, hidden]."""
        return self.input(_R)

    @property
    def bias(self) -> str:
        """B, [directions, 2 * gates * hidden]; "" for none."""
        return self.input(_B)

    @property
    def peepholes(self) -> str:
        """P, [directions, 3 * hidden]; "" for none."""
        return self.input(_PEEPHOLES)

    @property
    def states(self) -> tuple[str, ...]:
        """The first hidden state, and an LSTM's first cell state, each [directions, batch, hidden]; "" for zero."""
        return tuple(map(self.input, (_INITIAL_H, _INITIAL_C)[: 2 if self.node.op_type == "LSTM" else 1]))


def read_layer(reading: Reading, node: NodeProto) -> Layer | None:
    """The layer that a node is.

    None for what is no recurrent node, and for one with an open time axis, weights that are no constants,
    `sequence_lens`, `layout=1`, or activations other than Sigmoid, Tanh, Relu and HardSigmoid.
    """
    if node.op_type not in RECURRENT or node.domain not in ("", "ai.onnx") or integer(node, "layout", 0):
        return None
    shape = reading.shape(node.input[_X])
    attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    direction = attributes.get("direction", b"forward")
    reverse = {b"forward": (False,), b"reverse": (True,), b"bidirectional": (False, True)}.get(direction)
    if reverse is None or shape is None or len(shape) != 3 or not isinstance(shape[0], int) or not shape[0]:
        return None
    activations = _activations(node, len(reverse))
    weights = [node.input[at] for at in (_W, _R, _B, _PEEPHOLES) if len(node.input) > at and node.input[at]]
    if activations is None or not all(name in reading.constants for name in weights):
        return None
    layer = Layer(
        node=node,
        hidden=integer(node, "hidden_size", 0),
        steps=shape[0],
        reverse=reverse,
        activations=activations,
        clip=real(node, "clip", 0.0),
        linear_before_reset=bool(integer(node, "linear_before_reset", 0)),
        input_forget=bool(integer(node, "input_forget", 0)),
    )
    return layer if layer.hidden and not layer.input(_LENGTHS) else None


def _activations(node: NodeProto, directions: int) -> tuple[tuple[Activation, ...], ...] | None:
    """One tuple a direction; each alpha and beta goes to the next activation that takes one."""
    attributes = {entry.name: entry for entry in node.attribute}
    default = _DEFAULTS[node.op_type]
    names = [name.decode() for name in attributes["activations"].strings] if "activations" in attributes else []
    # The schema's default for an RNN has two, of which one direction uses the first.
    names = (names or list(default * directions))[: len(default) * directions]
    alphas, betas = (
        iter(attributes[name].floats if name in attributes else ()) for name in ("activation_alpha", "activation_beta")
    )
    found = [_activation(name.lower(), alphas, betas) for name in names]
    known = [each for each in found if each is not None]
    if len(known) != len(default) * directions:
        return None
    return tuple(tuple(known[at : at + len(default)]) for at in range(0, len(known), len(default)))


def _activation(name: str, alphas: Iterator[float], betas: Iterator[float]) -> Activation | None:
    if name == "hardsigmoid":
        alpha, beta = _HARD_SIGMOID
        return Activation("HardSigmoid", next(alphas, alpha), next(betas, beta))
    return Activation(_PLAIN[name]) if name in _PLAIN else None
