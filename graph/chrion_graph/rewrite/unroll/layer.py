"""Read a recurrent node: all that its cells need to know, or that it cannot be taken apart."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from onnx import NodeProto, helper

from chrion_graph.attributes import integer, real
from chrion_graph.recurrent import INITIAL_C, INITIAL_H, SEQUENCE_LENS, B, P, R, W, X, is_recurrent, optional_input
from chrion_graph.rewrite.support.reading import Reading

_DEFAULTS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
_HARD_SIGMOID = (0.2, 0.5)
_PLAIN = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu"}


class Activation(NamedTuple):
    """An operator with its attributes."""

    op_type: str
    alpha: float | None = None
    beta: float | None = None


@dataclass(frozen=True)
class RecurrentLayer:
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
        return optional_input(self.node, position)

    @property
    def sequence(self) -> str:
        """X, [steps, batch, features]."""
        return self.input(X)

    @property
    def weights(self) -> str:
        """W, [directions, gates * hidden, features]."""
        return self.input(W)

    @property
    def recurrence(self) -> str:
        """R, [directions, gates * hidden, hidden]."""
        return self.input(R)

    @property
    def bias(self) -> str:
        """B, [directions, 2 * gates * hidden]; "" for none."""
        return self.input(B)

    @property
    def peepholes(self) -> str:
        """P, [directions, 3 * hidden]; "" for none."""
        return self.input(P)

    @property
    def states(self) -> tuple[str, ...]:
        """The first hidden state, and an LSTM's first cell state, each [directions, batch, hidden]; "" for zero."""
        return tuple(map(self.input, (INITIAL_H, INITIAL_C)[: 2 if self.node.op_type == "LSTM" else 1]))


def read_layer(reading: Reading, node: NodeProto) -> RecurrentLayer | None:
    """The layer that a node is.

    None for what is no recurrent node, and for one with an open time axis, weights that are not constants,
    `sequence_lens`, `layout=1`, or activations other than Sigmoid, Tanh, Relu and HardSigmoid.
    """
    if not is_recurrent(node) or integer(node, "layout", 0):
        return None
    shape = reading.shape(node.input[X])
    attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    direction = attributes.get("direction", b"forward")
    reverse = {b"forward": (False,), b"reverse": (True,), b"bidirectional": (False, True)}.get(direction)
    if reverse is None or shape is None or len(shape) != 3 or not isinstance(shape[0], int) or not shape[0]:
        return None
    activations = _activations(node, len(reverse))
    weights = [name for place in (W, R, B, P) if (name := optional_input(node, place))]
    if activations is None or not all(name in reading.constants for name in weights):
        return None
    layer = RecurrentLayer(
        node=node,
        hidden=integer(node, "hidden_size", 0),
        steps=shape[0],
        reverse=reverse,
        activations=activations,
        clip=real(node, "clip", 0.0),
        linear_before_reset=bool(integer(node, "linear_before_reset", 0)),
        input_forget=bool(integer(node, "input_forget", 0)),
    )
    return layer if layer.hidden and not layer.input(SEQUENCE_LENS) else None


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
