"""What `chrion plan` must be told of a model's inputs, and the command that does."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import NodeProto, numpy_helper

from chrion_graph.deciding import deciding_inputs
from chrion_graph.graph import Graph
from chrion_graph.guesses import Guess, guesses, in_words, option, size_of
from chrion_graph.recurrent import SEQUENCE_LENS, X, is_recurrent, optional_input
from chrion_planner.check.report import Axes, Obstacle

_SAME = frozenset(("Cast", "Gather", "Identity", "Reshape", "Squeeze", "Unsqueeze"))
"""Nodes that hand a number on."""


@dataclass(frozen=True)
class InputsToTell:
    """What planning must be told of the inputs of a graph."""

    guessed: tuple[Guess, ...]
    """Shapes that planning would take without being told."""
    open: Mapping[str, Axes]
    """Inputs for whose open axes there is no guess; no axes where their number is open too."""
    values: Mapping[str, int | None]
    """What should fill inputs whose values decide what runs; None where nothing says what."""

    def command(self, model: Path) -> str:
        """The line to type; open axes and values that nothing suggests stand there by name."""
        words = ["chrion", "plan", str(model), "-o", f"{model.stem}.plan.json"]
        for guess in self.guessed:
            words += ["-i", option(guess.spec.name, guess.spec.shapes[0])]
        for name, axes in self.open.items():
            words += ["-i", option(name, axes or ("SHAPE",))]
        for name, value in self.values.items():
            words += ["--value", f"{name}={'NUMBER' if value is None else value}"]
        return shlex.join(words)

    def obstacles(self) -> Iterator[Obstacle]:
        """The same as what stands in the way."""
        for guess in self.guessed:
            problem, _, way_out = str(guess).partition("; ")
            yield Obstacle(problem=problem, way_out=way_out)
        for name, axes in self.open.items():
            unknown = [f"axis {axis or place}" for place, axis in enumerate(axes) if size_of(axis) is None]
            what = in_words(unknown) or "the shape"
            yield Obstacle(
                problem=f"inputs.{name}: {what} {'is' if len(unknown) < 2 else 'are'} open, and no name says how long",
                way_out=f"put sizes in place of {option(name, axes or ('SHAPE',))} in the command below",
            )
        for name, value in self.values.items():
            known = "NUMBER" if value is None else str(value)
            yield Obstacle(
                problem=f"inputs.{name}: its value decides what runs, and it is planned with 0 unless told",
                way_out=f"give what you serve with: --value {name}={known}",
            )


def inputs_to_tell(graph: Graph) -> InputsToTell:
    """What planning must be told of the inputs of a normalised graph."""
    guessed = guesses(graph.inputs, ())
    shapes = {guess.spec.name for guess in guessed}
    asked: dict[str, Axes] = {}
    for name, kind in graph.inputs.items():
        axes = kind.shape if kind else None
        if name not in shapes and (axes is None or any(not isinstance(axis, int) for axis in axes)):
            asked[name] = tuple(axis if size_of(axis) is None else size_of(axis) for axis in axes or ())
    deciding = deciding_inputs(graph.model.graph)
    # Floats are filled with random numbers, all else with zeros: those seldom decide as the values do that come later.
    zeros = [name for name, kind in graph.inputs.items() if kind and kind.dtype.kind in "biu" and name in deciding]
    return InputsToTell(guessed, asked, {name: _number(graph, name) for name in zeros})


def _number(graph: Graph, name: str) -> int | None:
    """What an input is compared with, or, where it is the lengths of sequences, all of their steps."""
    while following := [graph.nodes[index] for index in graph.consumers.get(name, ())]:
        for node in following:
            if node.op_type == "Equal" and (number := _constant(graph, node)) is not None:
                return number
            if is_recurrent(node) and optional_input(node, SEQUENCE_LENS) == name:
                kind = graph.types.get(node.input[X])
                return size_of(kind.shape[0]) if kind and kind.shape else None
        name = next((node.output[0] for node in following if node.op_type in _SAME), "")
    return None


def _constant(graph: Graph, node: NodeProto) -> int | None:
    """The whole number that a node reads as a constant; None where it reads no such."""
    other = next((name for name in node.input if name in graph.constants), "")
    values = numpy_helper.to_array(graph.constants[other], str(graph.folder)) if other else np.empty(0)
    return int(values.item()) if values.size == 1 and values.dtype.kind in "iu" else None
