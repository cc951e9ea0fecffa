"""Cutting takes exactly what a sub-model needs and gives exactly what others read; onnx_ir is the independent judge."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir
import pytest
from numpy.typing import NDArray

from chrion_graph.cut import SubModel, cut
from chrion_graph.errors import InvalidModel
from chrion_graph.graph import Graph
from chrion_graph.observe import evaluate
from chrion_models.families import cases, find
from chrion_models.inputs import random_inputs
from tests.support.control_flow import MODELS, TextModel
from tests.support.partition import BASIC, DISABLED, Arrays, assert_same_bits, at_random, normalised, reference

SMALL = {case.name: (case.build(), random_inputs(case.build(), case.inputs, case.values)) for case in cases(small=True)}
TEXTS = {name: (model.build(), model.requests[0]) for name, model in MODELS.items()}
ALL = {**SMALL, **TEXTS}


def run_sub_model(sub_model: SubModel, graph: Graph, values: dict[str, NDArray[Any]]) -> Arrays:
    """What the sub-model's file answers, under the names of the graph."""
    feeds = {
        value.name: values[name] for value, name in zip(sub_model.model.graph.input, sub_model.inputs, strict=True)
    }
    found = reference(sub_model.write(graph.folder), feeds, DISABLED)
    return dict(zip(sub_model.outputs, found.values(), strict=True))


@pytest.mark.parametrize("name", ALL)
def test_takes_and_gives_what_onnx_ir_says(name: str, tmp_path: Path) -> None:
    model, feeds = ALL[name]
    graph = normalised(model, tmp_path)
    values = {**feeds, **evaluate(graph, feeds, graph.types.keys() - graph.inputs.keys())}
    judge = onnx_ir.from_proto(graph.model).graph
    for seed in range(2):
        for nodes, _ in at_random(graph, seed):
            sub_model = cut(graph, nodes)
            assert len(onnx_ir.convenience.extract(judge, sub_model.inputs, sub_model.outputs)) == len(nodes)
            for missing in graph.inputs.keys() & set(sub_model.inputs):
                fewer = [name for name in sub_model.inputs if name != missing]
                with pytest.raises((ValueError, RuntimeError)):
                    onnx_ir.convenience.extract(judge, fewer, sub_model.outputs)
            written = {output for node in nodes for output in graph.writes[node]}
            inside = set(nodes)
            needed = {
                output for output in written if output in graph.outputs or set(graph.consumers.get(output, ())) - inside
            }
            unread = {name for name in sub_model.outputs if name not in graph.consumers and name not in graph.outputs}
            assert set(sub_model.outputs) - unread == needed
            assert not written & set(sub_model.inputs)
            answer = run_sub_model(sub_model, graph, values)
            assert_same_bits(answer, {output: values[output] for output in sub_model.outputs})


def test_weights_inside_bodies_stay_with_the_part(tmp_path: Path) -> None:
    graph = normalised(*TEXTS["if-in-loop"][:1], tmp_path)
    loop = next(index for index, node in enumerate(graph.nodes) if node.op_type == "Loop")
    sub_model = cut(graph, [loop])
    assert set(sub_model.inputs) == {"trips", "go", "x", "a", "b"}
    assert sub_model.outputs == ("last",)


def test_canonical_names_never_meet_names_of_a_body(tmp_path: Path) -> None:
    model, feeds = TEXTS["canonical-names"]
    graph = normalised(model, tmp_path)
    values = {**feeds, **evaluate(graph, feeds, graph.types.keys() - graph.inputs.keys())}
    for condition in (True, False):
        given = {**values, "condition": np.array(condition)}
        expected = reference(tmp_path / "original.onnx", {**feeds, "condition": given["condition"]}, BASIC)
        for nodes in ([3], [0, 3], [1, 2, 3], [0, 1, 2, 3]):
            assert_same_bits({"y": run_sub_model(cut(graph, nodes), graph, given)["y"]}, expected)


def test_isomorphic_parts_are_one_file(tmp_path: Path) -> None:
    case = find("unrolled-lstm-l2-h16-s4-b1-gemm-split")
    graph = normalised(case.build(), tmp_path)
    layers: dict[tuple[str, ...], set[Path]] = {}
    for index, node in enumerate(graph.nodes):
        if node.op_type == "Gemm":
            weights = tuple(name for name in node.input if name in graph.constants)
            layers.setdefault(weights, set()).add(cut(graph, [index]).write(graph.folder))
    assert len(layers) == 4
    assert all(len(files) == 1 for files in layers.values())
    assert len(set.union(*layers.values())) == 4


def test_bodies_that_differ_in_names_alone_are_one_file(tmp_path: Path) -> None:
    text = """twins (bool condition, float[N] x) => (float[N] y) {{
      a = Neg (x)
      {first} = If (condition) <
        then_branch = yes () => (float[N] t) {{ half = Mul (a, x) t = Add (half, x) }},
        else_branch = no () => (float[N] e) {{ e = Identity (a) }}
      >
      b = Exp ({first})
      second = If (condition) <
        then_branch = oui () => (float[N] u) {{ {moitie} = Mul (b, x) u = Add ({moitie}, x) }},
        else_branch = non () => (float[N] f) {{ f = Identity (b) }}
      >
      y = Neg (second)
    }}"""
    graph = normalised(TextModel(text.format(first="c", moitie="moitie"), ()).build(), tmp_path)
    ifs = [index for index, node in enumerate(graph.nodes) if node.op_type == "If"]
    assert len({cut(graph, [index]).write(graph.folder) for index in ifs}) == 1


def test_the_same_part_is_the_same_file_in_any_order_of_nodes(tmp_path: Path) -> None:
    graph = normalised(SMALL["crnn-c4-h16-w48-b1"][0], tmp_path)
    nodes = list(range(5, 15))
    expected = cut(graph, nodes).write(graph.folder)
    random.Random(1).shuffle(nodes)
    assert cut(graph, [*nodes, nodes[0]]).write(graph.folder) == expected


def test_a_part_with_other_weights_is_another_file(tmp_path: Path) -> None:
    text = """two (float[2] x) => (float[2] y, float[2] z) <float[2] one = {1.0, 2.0}, float[2] two = {1.0, 3.0}> {
      y = Mul (x, one)
      z = Mul (x, two)
    }"""
    graph = normalised(TextModel(text, ()).build(), tmp_path)
    assert cut(graph, [0]).write(graph.folder) != cut(graph, [1]).write(graph.folder)


def test_what_is_no_tensor_cannot_cross(tmp_path: Path) -> None:
    text = """tied (float[N] x) => (float[M] y) {
      list = SequenceConstruct (x, x)
      y = ConcatFromSequence <axis = 0> (list)
    }"""
    graph = normalised(TextModel(text, ()).build(), tmp_path)
    with pytest.raises(InvalidModel, match='value "list" cannot cross'):
        cut(graph, [0])


def test_an_opset_of_functions_survives(tmp_path: Path) -> None:
    model = onnx.parser.parse_model("""
      <ir_version: 8, opset_import: ["" : 17, "local" : 1]>
      calls (float[N] x) => (float[N] y) { a = local.twice (x) y = local.twice (a) }
      <domain: "local", opset_import: ["" : 17]>
      twice (v) => (w) { two = Constant <value_float = 2.0> () w = Mul (v, two) }
    """)
    feeds = {"x": np.array([1, 2, 3], dtype=np.float32)}
    graph = normalised(model, tmp_path)
    values = dict(feeds)
    for index in range(len(graph.nodes)):
        values |= run_sub_model(cut(graph, [index]), graph, values)
    np.testing.assert_array_equal(values["y"], 4 * feeds["x"])
