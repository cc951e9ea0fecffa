"""What re-rolled layers read and what reads them: sequences, first states, single steps, last states."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from chrion_graph.rewrite import reroll, split_directions
from tests.support.partition import normalised
from tests.support.rerolled import BATCH, SHAPES, STEPS, Unrolled, re_rolled, same_answers
from tests.support.unrolled_cells import FEATURES, HIDDEN, Layer, Style, constant

KINDS = ("LSTM", "GRU", "GRU-reset-first", "RNN", "RNN-relu")


class TestInputs:
    @staticmethod
    def taken(made: Unrolled, how: str, step: int) -> str:
        node, constant = made.graph.node, made.graph.constant
        axis = constant(made.time)
        match how:
            case "negative":
                return made.at(step - STEPS)
            case "gather and squeeze":
                return node("Squeeze", node("Gather", made.x, constant(step), axis=made.time), axis)
            case "slice and squeeze":
                return node("Squeeze", node("Slice", made.x, constant(step), constant(step + 1), axis), axis)
            case _:
                return made.at(step)

    @pytest.mark.parametrize("batch_first", [False, True], ids=["time first", "batch first"])
    @pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
    @pytest.mark.parametrize("how", ["gather", "negative", "gather and squeeze", "slice and squeeze", "split"])
    def test_steps_of_a_sequence(self, how: str, backward: bool, batch_first: bool, tmp_path: Path) -> None:
        made = Unrolled(batch_first=batch_first)
        inputs = [self.taken(made, how, step) for step in range(STEPS)]
        if how == "split":
            parts = made.graph.nodes("Split", [made.x], STEPS, axis=made.time)
            inputs = [made.graph.node("Squeeze", part, made.graph.constant(made.time)) for part in parts]
        hidden, _ = made.run(Layer(made.graph, Style()), inputs[::-1] if backward else inputs, *made.states())
        model = made.model(y=(made.stack(hidden[::-1] if backward else hidden, made.time), 3))
        shapes = SHAPES | {"x": (BATCH, STEPS, FEATURES)} if batch_first else SHAPES
        found = re_rolled(model, shapes, tmp_path, layers=1)
        # Both states, and what batch-first sequences need to be turned over.
        assert len(found.nodes) <= 1 + 2 + 2 * batch_first + 1

    @pytest.mark.parametrize("steps", [9, "steps"])
    def test_a_part_of_a_longer_sequence(self, steps: int | str, tmp_path: Path) -> None:
        made = Unrolled(steps=steps)
        hidden, _ = made.run(Layer(made.graph, Style("GRU")), [made.at(step) for step in (6, 5, 4)], made.states()[0])
        found = re_rolled(
            made.model(y=(made.stack(hidden), 3)), SHAPES | {"x": (9, BATCH, FEATURES)}, tmp_path, layers=1
        )
        assert Counter(node.op_type for node in found.nodes)["Slice"] == 2

    def test_values_that_come_from_no_sequence(self, tmp_path: Path) -> None:
        made = Unrolled()
        inputs = [made.graph.node("Neg", x) for x in made.inputs()]
        hidden, _ = made.run(Layer(made.graph, Style()), [inputs[3], *inputs[1:3], inputs[1]], *made.states())
        re_rolled(made.model(y=(made.stack(hidden), 3)), SHAPES, tmp_path, layers=1)

    def test_steps_in_no_order(self, tmp_path: Path) -> None:
        made = Unrolled()
        hidden, _ = made.run(Layer(made.graph, Style()), [made.at(step) for step in (0, 1, 2, 4, 3)], *made.states())
        re_rolled(
            made.model(y=(made.stack([hidden[2], hidden[1], hidden[4], hidden[0]], 1), 3)), SHAPES, tmp_path, layers=1
        )

    def test_two_inputs_beside_the_state(self, tmp_path: Path) -> None:
        """As where a cell reads the layers below in both directions."""
        made = Unrolled()
        h, c = made.states()
        ahead, _ = made.run(Layer(made.graph, Style(), "ahead"), made.inputs(), h, c)
        back, _ = made.run(Layer(made.graph, Style("GRU"), "back"), made.inputs()[::-1], h)
        both = [made.graph.node("Concat", *pair, axis=1) for pair in zip(ahead, back[::-1], strict=True)]
        top, _ = made.run(Layer(made.graph, Style(), "top", 2 * HIDDEN), both, h, c)
        found = re_rolled(made.model(y=(made.stack(top), 3), both=(made.stack(both), 3)), SHAPES, tmp_path, layers=3)
        assert Counter(node.op_type for node in found.nodes)["Concat"] == 2


class TestStates:
    @pytest.mark.parametrize("kind", KINDS)
    def test_zeros_that_were_folded_into_the_first_step(self, kind: str, tmp_path: Path) -> None:
        made = Unrolled(batch=BATCH)
        zeros = constant(made.graph, np.zeros((BATCH, HIDDEN), np.float32))
        hidden, _ = made.run(Layer(made.graph, Style(kind)), made.inputs(), zeros, zeros)
        found = re_rolled(made.model(y=(made.stack(hidden), 3)), SHAPES, tmp_path, layers=1)
        assert len(found.nodes) == 2

    @pytest.mark.parametrize("kind", ["GRU", "GRU-reset-first"])
    @pytest.mark.parametrize("rows", [1, BATCH])
    def test_a_constant_that_was_folded(self, kind: str, rows: int, tmp_path: Path) -> None:
        made = Unrolled(batch=BATCH)
        state = constant(made.graph, np.linspace(-1, 1, rows * HIDDEN, dtype=np.float32).reshape(rows, HIDDEN))
        hidden, _ = made.run(Layer(made.graph, Style(kind)), made.inputs(), state)
        re_rolled(made.model(y=(made.stack(hidden), 3)), SHAPES, tmp_path, layers=1)

    @pytest.mark.parametrize("batch", ["batch", BATCH])
    def test_a_constant_that_cannot_be_told_leaves_the_first_step(self, batch: int | str, tmp_path: Path) -> None:
        made = Unrolled(batch=batch)
        state = constant(made.graph, np.linspace(-1, 1, HIDDEN, dtype=np.float32).reshape(1, HIDDEN))
        hidden, _ = made.run(Layer(made.graph, Style()), made.inputs(), state, state)
        re_rolled(made.model(y=(made.stack(hidden), 3)), SHAPES, tmp_path, layers=1, loose=12)

    @pytest.mark.parametrize("kind", KINDS)
    def test_zeros_as_many_as_the_batch(self, kind: str, tmp_path: Path) -> None:
        made = Unrolled()
        node = made.graph.node
        rows = node("Slice", node("Shape", made.x), made.graph.constant(1), made.graph.constant(2))
        zeros = node("ConstantOfShape", node("Concat", rows, made.graph.constant(HIDDEN), axis=0))
        hidden, _ = made.run(Layer(made.graph, Style(kind)), made.inputs(), zeros, zeros)
        found = re_rolled(made.model(y=(made.stack(hidden), 3)), SHAPES, tmp_path, layers=1)
        assert len(found.nodes) == 2

    def test_states_that_other_nodes_make(self, tmp_path: Path) -> None:
        made = Unrolled()
        h, c = (made.graph.node("Tanh", state) for state in made.states())
        hidden, _ = made.run(Layer(made.graph, Style()), made.inputs(), h, c)
        re_rolled(made.model(y=(made.stack(hidden), 3)), SHAPES, tmp_path, layers=1, loose=2)

    def test_two_chains_with_the_same_weights_share_them(self, tmp_path: Path) -> None:
        made = Unrolled()
        layer, (h, c) = Layer(made.graph, Style()), made.states()
        ahead, _ = made.run(layer, made.inputs(), h, c)
        back, _ = made.run(layer, made.inputs()[::-1], h, c)
        found = re_rolled(
            made.model(y=(made.stack(ahead), 3), z=(made.stack(back[::-1]), 3)), SHAPES, tmp_path, layers=2
        )
        one, other = (node for node in found.nodes if node.op_type == "LSTM")
        assert one.input[1:4] == other.input[1:4]

    def test_an_encoder_hands_its_last_states_to_a_decoder(self, tmp_path: Path) -> None:
        made = Unrolled()
        states, last = made.run(Layer(made.graph, Style(), "encoder"), made.inputs(), *made.states())
        hidden, _ = made.run(Layer(made.graph, Style(), "decoder"), made.inputs(), states[-1], last)
        found = re_rolled(made.model(y=(made.stack(hidden), 3)), SHAPES, tmp_path, layers=2)
        assert [len(node.output) for node in found.nodes if node.op_type == "LSTM"] == [3, 1]


class TestOutputs:
    def test_single_steps_are_taken_out(self, tmp_path: Path) -> None:
        made = Unrolled()
        hidden, _ = made.run(Layer(made.graph, Style()), made.inputs(), *made.states())
        outputs = {f"y{step}": (made.graph.node("Neg", value), 2) for step, value in enumerate(hidden)}
        outputs["whole"] = (made.stack(hidden, 1), 3)
        re_rolled(made.model(**outputs), SHAPES, tmp_path, layers=1)

    def test_states_that_are_outputs_themselves(self, tmp_path: Path) -> None:
        made = Unrolled()
        hidden, last = made.run(Layer(made.graph, Style()), made.inputs(), *made.states())
        re_rolled(made.model(y=(hidden[1], 2), h_n=(hidden[-1], 2), c_n=(last, 2)), SHAPES, tmp_path, layers=1)

    def test_attention_over_all_steps(self, tmp_path: Path) -> None:
        made = Unrolled()
        hidden, _ = made.run(Layer(made.graph, Style("GRU")), made.inputs(), made.states()[0])
        node = made.graph.node
        keys = made.stack(hidden, 1)
        query = node("Unsqueeze", hidden[-1], made.graph.constant(2))
        context = node("Mul", keys, node("Softmax", node("MatMul", keys, query), axis=1))
        re_rolled(made.model(context=(context, 3)), SHAPES, tmp_path, layers=1, loose=2)

    def test_directions_can_be_split_afterwards(self, tmp_path: Path) -> None:
        made = Unrolled()
        hidden, _ = made.run(Layer(made.graph, Style("GRU")), made.inputs(), made.states()[0])
        weights = [made.graph.weight(name, (2, 3 * HIDDEN, HIDDEN), 0.5) for name in "WR"]
        both = made.graph.node("GRU", made.stack(hidden), *weights, direction="bidirectional", hidden_size=HIDDEN)
        model = made.model(y=(both, 4))
        found = reroll.apply(normalised(model, tmp_path), {"chains": 1})
        found = split_directions.apply(found, next(split_directions.propose(found)))
        assert Counter(node.op_type for node in found.nodes)["GRU"] == 3
        same_answers(model, found, SHAPES)
