"""Re-rolling unrolled cells: the same answers from one recurrent node a layer, however the cells were written."""

import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import helper

from chrion_graph.errors import RewriteError
from chrion_graph.rewrite import reroll
from chrion_models.families import ModelCase, cases
from chrion_models.families.unrolled import unrolled
from tests.support.partition import normalised
from tests.support.rerolled import BATCH, SHAPES, STEPS, Unrolled, assert_left_alone, re_rolled
from tests.support.unrolled_cells import FEATURES, HIDDEN, Layer, Style

KINDS = ("LSTM", "GRU", "GRU-reset-first", "RNN", "RNN-relu")


def one_layer(style: Style) -> onnx.ModelProto:
    made = Unrolled()
    h, c = made.states()
    hidden, last = made.run(Layer(made.graph, style), made.inputs(), h, c)
    outputs = {"y": (made.stack(hidden), 3), "h_n": (made.graph.node("Neg", hidden[-1]), 2)}
    if style.kind == "LSTM":
        outputs["c_n"] = (made.graph.node("Neg", last), 2)
    return made.model(**outputs)


def older(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """The model as an opset before 13 writes it."""
    model.opset_import[0].version = opset
    for node in model.graph.node:
        if node.op_type == "Unsqueeze":
            node.attribute.append(helper.make_attribute("axes", [0]))
            del node.input[1]
    return model


ORDERS = ((0, 1, 2, 3), (3, 1, 0, 2), (2, 0, 3, 1), (1, 0, 2, 3))
STYLES = [
    *(Style(kind, order=order, parting=part) for kind in KINDS[:3] for order in ORDERS for part in ("split", "slice")),
    *(
        Style(kind, linear, order=(1, 2, 0, 3), swapped=linear in ("bias-first", "gemm-scaled"))
        for kind in KINDS
        for linear in ("gemm", "gemm-transposed", "gemm-scaled", "matmul", "bias-first", "gate-by-gate")
    ),
    *(
        Style(kind, linear, biased=biased)
        for kind in KINDS
        for linear in ("gemm", "matmul")
        for biased in ("x", "h", "")
    ),
    *(
        Style(kind, linear, joined)
        for kind in KINDS
        if kind != "GRU"
        for linear in ("gemm-transposed", "matmul", "gate-by-gate")
        for joined in ("x,h", "h,x")
    ),
    *(
        Style(kind, mix=mix, swapped=swapped)
        for kind in ("GRU", "GRU-reset-first")
        for mix in ("z·h", "n+z·gap", "n-z·gap", "h+z·gap", "z·n")
        for swapped in (False, True)
    ),
]


class TestCells:
    @pytest.mark.parametrize("style", STYLES, ids=lambda style: "-".join(map(str, vars(style).values())))
    def test_every_way_to_write_a_cell(self, style: Style, tmp_path: Path) -> None:
        found = re_rolled(one_layer(style), SHAPES, tmp_path, layers=1)
        assert len(found.nodes) <= 7 + 2 * (style.kind == "LSTM")

    @pytest.mark.parametrize(
        "case",
        [*cases(small=True, family="unrolled"), unrolled("LSTM", 3, 48, 8, 1), unrolled("GRU", 3, 48, 8, 3, "matmul")],
        ids=lambda case: case.name,
    )
    def test_the_families(self, case: ModelCase, tmp_path: Path) -> None:
        layers = case.inputs["h_0"][0]
        found = re_rolled(case.build(), case.inputs, tmp_path, layers)
        assert len(found.nodes) <= 5 * layers

    @pytest.mark.parametrize("opset", [10, 12])
    def test_an_older_opset(self, opset: int, tmp_path: Path) -> None:
        re_rolled(older(one_layer(Style()), opset), SHAPES, tmp_path, layers=1)

    def test_an_opset_without_bounds_as_inputs_of_slice(self, tmp_path: Path) -> None:
        assert_left_alone(older(one_layer(Style()), 9), tmp_path)

    def test_large_weights_lie_in_a_file_named_by_its_content(self, tmp_path: Path) -> None:
        case = unrolled("LSTM", 2, 48, 4, 1)
        found = re_rolled(case.build(), case.inputs, tmp_path, 2)
        weights = [tensor for tensor in found.constants.values() if len(tensor.dims) == 3]
        places = {entry.value for tensor in weights for entry in tensor.external_data if entry.key == "location"}
        assert len(weights) == 4
        assert [path.name for path in found.folder.glob("weights-*.bin")] == [*places]

    def test_weights_that_lie_right_are_not_copied(self, tmp_path: Path) -> None:
        case = unrolled("RNN", 2, 48, 4, 1)
        found = re_rolled(case.build(), case.inputs, tmp_path, 2)
        assert not list(found.folder.glob("weights-*.bin"))


class TestLeftAlone:
    @pytest.mark.parametrize("layers", [1, 2])
    def test_a_decoder_whose_input_depends_on_its_output(self, layers: int, tmp_path: Path) -> None:
        made = Unrolled()
        (h, c), node = made.states(), made.graph.node
        memory = made.graph.input("memory", ("batch", STEPS, HIDDEN))
        context = node("Neg", h)
        cells = [
            Layer(made.graph, Style(joined="x,h"), f"cell{layer}", HIDDEN if layer else FEATURES + HIDDEN)
            for layer in range(layers)
        ]
        states = [(h, c)] * layers
        for x in made.inputs():
            value = node("Concat", x, context, axis=1)
            for index, cell in enumerate(cells):
                states[index] = cell.step(value, *states[index])
                value = states[index][0]
            query = node("Unsqueeze", value, made.graph.constant(2))
            weights = node("Softmax", node("MatMul", memory, query), axis=1)
            context = node("ReduceSum", node("Mul", memory, weights), made.graph.constant(1), keepdims=0)
        assert_left_alone(made.model(y=(context, 2)), tmp_path)

    def test_only_one_of_two_chains_that_need_each_other(self, tmp_path: Path) -> None:
        """Each could be a layer alone: each reads an early state of the other at a late step."""
        made = Unrolled()
        (h, _), inputs = made.states(), made.inputs()
        one, other = (Layer(made.graph, Style("RNN"), name) for name in ("one", "other"))
        project = made.graph.weight("project", (HIDDEN, FEATURES), 0.5)
        first, second = one.step(inputs[0], h)[0], other.step(inputs[1], h)[0]
        late = [made.graph.node("MatMul", value, project) for value in (second, first)]
        hidden, _ = made.run(one, [late[0], *inputs[2:]], first)
        others, _ = made.run(other, [late[1], *inputs[2:]], second)
        model = made.model(y=(made.stack(hidden), 3), z=(made.stack(others), 3))
        re_rolled(model, SHAPES, tmp_path, layers=1, loose=2 + 5 * 4)

    @pytest.mark.parametrize("inner", ["Sigmoid", "Tanh", "Add", "Gemm"])
    def test_steps_that_others_look_into(self, inner: str, tmp_path: Path) -> None:
        made = Unrolled()
        hidden, _ = made.run(Layer(made.graph, Style()), made.inputs(), *made.states())
        looked = [node.output[0] for node in made.graph._nodes if node.op_type == inner]
        outputs = {f"y{index}": (made.graph.node("Neg", value), 2) for index, value in enumerate(looked)}
        assert_left_alone(made.model(y=(made.stack(hidden), 3), **outputs), tmp_path)

    def test_two_steps(self, tmp_path: Path) -> None:
        made = Unrolled()
        hidden, _ = made.run(Layer(made.graph, Style()), made.inputs()[:2], *made.states())
        assert_left_alone(made.model(y=(made.stack(hidden), 3)), tmp_path)

    def test_weights_that_change_from_step_to_step(self, tmp_path: Path) -> None:
        made = Unrolled()
        h, c = made.states()
        for step, x in enumerate(made.inputs()):
            h, c = Layer(made.graph, Style(), f"cell{step}").step(x, h, c)
        assert_left_alone(made.model(y=(h, 2)), tmp_path)

    def test_one_state_spread_over_the_batch(self, tmp_path: Path) -> None:
        made = Unrolled(batch=1)
        made.batch = BATCH
        hidden, _ = made.run(Layer(made.graph, Style()), made.inputs()[:3], *made.states())
        assert_left_alone(made.model(y=(made.stack(hidden), 3)), tmp_path)

    @pytest.mark.parametrize(
        "case", [case for case in cases(small=True) if not case.name.startswith("unrolled")], ids=lambda case: case.name
    )
    def test_models_of_whole_layers(self, case: ModelCase, tmp_path: Path) -> None:
        assert_left_alone(case.build(), tmp_path)

    @pytest.mark.parametrize("name", ["nsnet2", "silero_vad", "silero_vad_16k", "silero_vad_ifless"])
    def test_real_models(self, name: str, models_dir: Path, tmp_path: Path) -> None:
        assert_left_alone(models_dir / f"{name}.onnx", tmp_path)


class TestReplay:
    def test_the_digest_is_the_same_in_another_process(self, tmp_path: Path) -> None:
        graph = normalised(unrolled("GRU", 2, 48, 5, 1).build(), tmp_path)
        wanted = reroll.apply(graph, {"chains": 2}).digest
        code = (
            "import sys; from pathlib import Path; from chrion_graph.graph import Graph; "
            "from chrion_graph.rewrite import reroll; "
            "print(reroll.apply(Graph.load(Path(sys.argv[1])), {'chains': 2}).digest)"
        )
        for seed in ("1", "2"):
            environment = {**os.environ, "PYTHONHASHSEED": seed}
            found = subprocess.check_output([sys.executable, "-c", code, str(graph.folder)], env=environment, text=True)
            assert found.strip() == wanted

    @pytest.mark.parametrize("parameters", [{}, {"chains": 1}, {"chains": "2"}, {"chains": 2, "nodes": []}])
    def test_parameters_of_another_graph_are_refused(self, parameters: dict[str, object], tmp_path: Path) -> None:
        graph = normalised(unrolled("LSTM", 2, 8, 3, 1).build(), tmp_path)
        with pytest.raises(RewriteError, match="this graph has 2 chains"):
            reroll.apply(graph, parameters)
