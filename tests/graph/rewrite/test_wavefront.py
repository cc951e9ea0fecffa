"""The wavefront rewrite: the same answers for every length, from chunks that are alike."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest

from chrion_graph.cut import cut
from chrion_graph.errors import RewriteError
from chrion_graph.graph import Graph
from chrion_graph.recurrent import RECURRENT
from chrion_graph.rewrite import REWRITES, split_directions, wavefront
from chrion_models.families import ModelCase, cases
from chrion_models.families.graph import GraphBuilder
from chrion_models.families.stack import GATES, Kind, stack
from chrion_models.inputs import random_inputs
from tests.support.partition import normalised
from tests.support.recurrent import feeds_of, layers, older

Arrays = dict[str, npt.NDArray[Any]]
Load = Callable[[onnx.ModelProto | Path], Graph]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Normalises a model and loads its graph."""
    return lambda model: normalised(model, tmp_path)


def session(model: onnx.ModelProto | Path, folder: Path | None = None) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    if folder:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def answers(found: ort.InferenceSession, feeds: Arrays) -> Arrays:
    names = [value.name for value in found.get_outputs()]
    return dict(zip(names, found.run(names, feeds), strict=True))


def assert_equal(found: Arrays, wanted: Arrays) -> None:
    assert found.keys() >= wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


def node_by_node(graph: Graph, feeds: Arrays) -> Arrays:
    """Every node as a sub-model of its own, one after another."""
    values = dict(feeds)
    for index in range(len(graph.nodes)):
        sub_model = cut(graph, [index])
        found = answers(
            session(sub_model.model, graph.folder),
            {f"chrion.i{place}": values[name] for place, name in enumerate(sub_model.inputs)},
        )
        values |= dict(zip(sub_model.outputs, found.values(), strict=True))
    return values


def in_chunks(graph: Graph, chunks: int) -> Graph:
    """The graph with all its stacks cut into so many chunks."""
    first = next(iter(wavefront.propose(graph)))
    return wavefront.apply(graph, {**first, "chunks": chunks})


def check(model: onnx.ModelProto, graph: Graph, feeds: Arrays, chunks: int = 4) -> Graph:
    found = in_chunks(graph, chunks)
    assert_equal(answers(session(found.model, found.folder), feeds), answers(session(model), feeds))
    return found


def chunks_by_layer(graph: Graph) -> dict[str, list[int]]:
    """The chunk nodes of each layer, by the name of its recurrent weights."""
    found: dict[str, list[int]] = {}
    for index, node in enumerate(graph.nodes):
        if node.op_type in RECURRENT:
            found.setdefault(node.input[2], []).append(index)
    return found


GLUE: dict[str, Callable[[GraphBuilder, str], str]] = {
    "transpose and reshape": lambda graph, steps: graph.node(
        "Reshape", graph.node("Transpose", steps, perm=[0, 2, 1, 3]), graph.constant(0, 0, -1)
    ),
    "to the batch's front and back": lambda graph, steps: graph.node(
        "Transpose",
        graph.node(
            "Reshape",
            graph.node("Transpose", graph.node("Squeeze", steps, graph.constant(1)), perm=[1, 2, 0]),
            graph.constant(0, 0, 0),
        ),
        perm=[2, 0, 1],
    ),
    "unsqueeze": lambda graph, steps: graph.node(
        "Squeeze", graph.node("Unsqueeze", steps, graph.constant(0)), graph.constant(0, 2)
    ),
}


class TestProposals:
    def test_it_comes_after_what_makes_and_parts_layers(self) -> None:
        names = list(REWRITES)
        assert {"re-roll", "join-steps", "split-directions"} <= set(names[: names.index("wavefront")])

    @pytest.mark.parametrize(("steps", "counts"), [(31, []), (32, [4]), (63, [4]), (64, [4, 8]), ("seq", [4, 8])])
    def test_chunks_hold_eight_steps_where_the_length_is_known(
        self, load: Load, steps: int | str, counts: list[int]
    ) -> None:
        assert [item["chunks"] for item in wavefront.propose(load(layers("GRU", steps=steps)))] == counts

    def test_wide_layers_are_first_cut_into_more(self, load: Load) -> None:
        graph = load(stack("RNN", "forward", 2, 256, 8, 1).build())
        assert [item["chunks"] for item in wavefront.propose(graph)] == [8, 4]

    @pytest.mark.parametrize(
        "model",
        [
            layers("LSTM", depth=1),
            layers("LSTM", "reverse", inputs={4: "lengths"}),
            layers("LSTM", glue=lambda graph, y: graph.node("Relu", graph.node("Squeeze", y, graph.constant(1)))),
            layers(  # time and batch change places
                "GRU",
                steps=8,
                batch=8,
                glue=lambda graph, y: graph.node(
                    "Transpose", graph.node("Squeeze", y, graph.constant(1)), perm=[1, 0, 2]
                ),
            ),
            layers(  # two halves of the time in one step
                "RNN",
                steps=64,
                batch=1,
                given=("states",),
                glue=lambda graph, y: graph.node("Reshape", y, graph.constant(32, 2, 8)),
            ),
        ],
        ids=["one layer", "reverse with sequence_lens", "not only shape", "time and batch swapped", "steps mixed"],
    )
    def test_what_is_no_stack_is_left_alone(self, load: Load, model: onnx.ModelProto) -> None:
        assert list(wavefront.propose(load(model))) == []

    def test_bidirectional_stacks_are_left_alone_split_or_not(self, load: Load) -> None:
        graph = load(stack("LSTM", "bidirectional", 2, 8, 64, 1).build())
        assert list(wavefront.propose(graph)) == []
        (split,) = split_directions.propose(graph)
        assert list(wavefront.propose(split_directions.apply(graph, split))) == []

    def test_layers_of_opposite_directions_are_no_stack(self, load: Load) -> None:
        model = layers("GRU")  # reads as one stack but for the direction
        second = [node for node in model.graph.node if node.op_type == "GRU"][1]
        next(item for item in second.attribute if item.name == "direction").s = b"reverse"
        assert list(wavefront.propose(load(model))) == []

    @pytest.mark.parametrize(
        "parameters",
        [
            {},
            {"chunks": 1, "stacks": [[0, 2]]},
            {"chunks": "4", "stacks": [[0, 2]]},
            {"chunks": 4, "stacks": [[0]]},
            {"chunks": 4, "stacks": [0, 2]},
            {"chunks": 4, "stacks": []},
            {"chunks": 4, "stacks": [[0, 2], [0, 2]]},
            {"chunks": 40, "stacks": [[0, 2]]},
        ],
    )
    def test_parameters_that_do_not_fit_are_refused(self, load: Load, parameters: dict[str, Any]) -> None:
        graph = load(layers("GRU", steps=32))
        (good,) = wavefront.propose(graph)
        assert good == {"chunks": 4, "stacks": [[0, 2]]}
        with pytest.raises(RewriteError, match=r"^wavefront: "):
            wavefront.apply(graph, parameters)


class TestAnswers:
    @pytest.mark.parametrize("case", cases(small=True, family="stack"), ids=lambda case: case.name)
    def test_families(self, load: Load, case: ModelCase) -> None:
        model = case.build()
        graph = load(model)
        proposals = list(wavefront.propose(graph))
        assert len(proposals) == (2 if "forward" in case.name else 0)
        feeds = random_inputs(model, case.inputs, case.values)
        for parameters in proposals:
            found = wavefront.apply(graph, parameters)
            assert_equal(answers(session(found.model, found.folder), feeds), answers(session(model), feeds))

    @pytest.mark.parametrize("direction", ["forward", "reverse"])
    @pytest.mark.parametrize("kind", GATES)
    def test_every_length_and_batch(self, load: Load, kind: Kind, direction: str) -> None:
        model = layers(kind, direction, depth=3)
        graph = load(model)
        whole = session(model)
        for chunks in (4, 8):
            found = in_chunks(graph, chunks)
            chunked = session(found.model, found.folder)
            for steps in range(1, 21):
                for batch in (1, 3):
                    feeds = feeds_of(model, steps, batch, seed=steps)
                    assert_equal(answers(chunked, feeds), answers(whole, feeds))

    @pytest.mark.parametrize("steps", [32, 37])
    @pytest.mark.parametrize("direction", ["forward", "reverse"])
    @pytest.mark.parametrize("kind", GATES)
    def test_known_lengths_divided_evenly_or_not(self, load: Load, kind: Kind, direction: str, steps: int) -> None:
        model = layers(kind, direction, steps=steps, batch=2)
        check(model, load(model), feeds_of(model, steps))

    @pytest.mark.parametrize("initial", ["input", "constant"])
    @pytest.mark.parametrize("kind", GATES)
    def test_initial_states(self, load: Load, kind: Kind, initial: str) -> None:
        model = layers(kind, batch=3, initial=initial)
        graph = load(model)
        for steps in (2, 11):
            check(model, graph, feeds_of(model, steps, 3))

    @pytest.mark.parametrize("glue", GLUE)
    @pytest.mark.parametrize("steps", [32, "seq"])
    def test_glue(self, load: Load, glue: str, steps: int | str) -> None:
        model = layers("GRU", steps=steps, batch=2, glue=GLUE[glue])
        check(model, load(model), feeds_of(model, 32 if steps == 32 else 13))

    def test_a_reshape_that_names_the_length(self, load: Load) -> None:
        model = layers(
            "GRU", steps=32, batch=2, glue=lambda graph, y: graph.node("Reshape", y, graph.constant(32, 2, 8))
        )
        check(model, load(model), feeds_of(model, 32))

    @pytest.mark.parametrize("given", [("y",), ("states",), ("last",), ("y", "last")])
    @pytest.mark.parametrize("steps", [32, "seq"])
    def test_whichever_outputs_are_read(self, load: Load, given: tuple[str, ...], steps: int | str) -> None:
        model = layers("LSTM", steps=steps, given=given)
        graph = load(model)
        for length in (32,) if steps == 32 else (3, 32):
            check(model, graph, feeds_of(model, length))

    @pytest.mark.parametrize("direction", ["forward", "reverse"])
    def test_a_lower_layer_that_others_read_too(self, load: Load, direction: str) -> None:
        model = layers("GRU", direction, depth=3, tap=True)
        graph = load(model)
        for steps in (3, 19):
            check(model, graph, feeds_of(model, steps, 2))

    @pytest.mark.parametrize(
        ("kind", "attributes"),
        [
            ("LSTM", {"inputs": {7: "peepholes"}}),
            ("LSTM", {"clip": 0.3, "input_forget": 1}),
            ("LSTM", {"activations": ["HardSigmoid", "Tanh", "Tanh"], "activation_alpha": [0.3]}),
            ("GRU", {"linear_before_reset": 1, "clip": 0.5}),
            ("GRU", {"activations": ["Sigmoid", "Softsign"]}),
            ("RNN", {"activations": ["Relu"]}),
        ],
    )  # fmt: skip
    def test_attributes_and_peepholes(self, load: Load, kind: Kind, attributes: dict[str, Any]) -> None:
        model = layers(kind, **attributes)
        check(model, load(model), feeds_of(model, 14))

    @pytest.mark.parametrize(("steps", "opset"), [(32, 17), (37, 12), ("seq", 17), ("seq", 18)])
    @pytest.mark.parametrize("initial", ["", "input"])
    @pytest.mark.parametrize("kind", GATES)
    def test_lengths_of_sequences(self, load: Load, kind: Kind, initial: str, steps: int | str, opset: int) -> None:
        """ONNX Runtime answers a sequence of length zero with a zero state, even where there is an initial one."""
        batch = 6 if steps == 37 else "batch"
        model = layers(kind, depth=3, steps=steps, batch=batch, initial=initial, tap=True, inputs={4: "lengths"})
        model = older(model, opset) if opset < 18 else model
        model.opset_import[0].version = opset
        graph = load(model)
        whole = session(model)
        for count in (4, 8):
            found = in_chunks(graph, count)
            chunked = session(found.model, found.folder)
            for length in (steps,) if isinstance(steps, int) else (1, 3, 9, 32):
                feeds = feeds_of(model, length, 6)
                for lengths in ([0, 1, length, length // 2, length // 4, length - 1], [0] * 6, [1] * 6):
                    feeds["lengths"] = np.array(lengths, np.int32)
                    assert_equal(answers(chunked, feeds), answers(whole, feeds))

    def test_layers_of_which_one_alone_has_lengths(self, load: Load) -> None:
        model = layers("LSTM", steps=32, batch=2, initial="constant", inputs={4: "lengths"})
        next(node for node in model.graph.node if node.op_type == "LSTM").input[4] = ""
        graph = in_chunks(load(model), 4)
        feeds = feeds_of(model, 32) | {"lengths": np.array([0, 19], np.int32)}
        assert_equal(node_by_node(graph, feeds), answers(session(model), feeds))

    def test_two_stacks_of_which_one_begins_with_the_states_of_the_other(self, load: Load) -> None:
        case = next(case for case in cases(small=True, family="encoder-decoder") if "-l2-" in case.name)
        model = case.build()
        graph = load(model)
        assert all(len(item["stacks"]) == 2 for item in wavefront.propose(graph))
        check(model, graph, random_inputs(model, case.inputs, case.values))

    @pytest.mark.parametrize("opset", [11, 12, 14])
    def test_older_operators(self, load: Load, opset: int) -> None:
        model = older(layers("LSTM", "reverse"), opset)
        graph = load(model)
        for steps in (2, 9, 30):
            check(model, graph, feeds_of(model, steps, 2))


class TestChunks:
    @pytest.mark.parametrize("steps", [32, 37, "seq"])
    @pytest.mark.parametrize("initial", ["", "input", "constant"])
    @pytest.mark.parametrize("kind", GATES)
    def test_all_of_a_layer_become_one_part(self, load: Load, kind: Kind, initial: str, steps: int | str) -> None:
        graph = in_chunks(load(layers(kind, batch=2, steps=steps, initial=initial)), 4)
        for nodes in chunks_by_layer(graph).values():
            assert len(nodes) == 4
            assert len({cut(graph, [index]).write(graph.folder) for index in nodes}) == 1

    def test_with_their_slices_and_glue_too(self, load: Load) -> None:
        graph = in_chunks(load(layers("GRU")), 4)
        for nodes in chunks_by_layer(graph).values():
            pairs = [(graph.producer[graph.nodes[index].input[0]], index) for index in nodes]
            assert len({cut(graph, pair).write(graph.folder) for pair in pairs}) == 1

    def test_weights_are_not_copied(self, load: Load) -> None:
        before = load(layers("LSTM"))
        after = in_chunks(before, 8)
        large = {name for name, tensor in before.constants.items() if len(tensor.dims) == 3}
        assert large == {name for name, tensor in after.constants.items() if len(tensor.dims) == 3}

    def test_diagonal_by_diagonal(self, load: Load) -> None:
        graph = in_chunks(load(layers("GRU", depth=3)), 4)
        order = [node.input[2] for node in graph.nodes if node.op_type == "GRU"]
        assert order == ["R0", "R0", "R1", "R0", "R1", "R2", "R0", "R1", "R2", "R1", "R2", "R2"]

    def test_nothing_is_left_that_nobody_reads(self, load: Load) -> None:
        graph = in_chunks(load(layers("LSTM", given=("y",))), 4)
        read = {name for names in graph.reads for name in names}
        assert all(read & set(names) or graph.outputs.keys() & set(names) for names in graph.writes)
        assert graph.constants.keys() <= read

    @pytest.mark.parametrize("kind", GATES)
    def test_node_by_node(self, load: Load, kind: Kind) -> None:
        model = layers(kind, "reverse", depth=3, tap=True, initial="input", batch=2)
        graph = in_chunks(load(model), 4)
        for steps in (3, 10):
            feeds = feeds_of(model, steps)
            assert_equal(node_by_node(graph, feeds), answers(session(model), feeds))

    def test_the_digest_is_the_same_in_another_process(self, load: Load) -> None:
        graph = load(layers("LSTM", depth=3))
        wanted = in_chunks(graph, 8).digest
        code = (
            "import sys; from pathlib import Path; from chrion_graph.graph import Graph; "
            "from chrion_graph.rewrite import wavefront; graph = Graph.load(Path(sys.argv[1])); "
            "print(next(wavefront.apply(graph, p).digest for p in wavefront.propose(graph) if p['chunks'] == 8))"
        )
        for seed in ("1", "2"):
            environment = {**os.environ, "PYTHONHASHSEED": seed}
            found = subprocess.check_output([sys.executable, "-c", code, str(graph.folder)], env=environment, text=True)
            assert found.strip() == wanted


class TestRealModels:
    def test_nsnet2(self, load: Load, models_dir: Path) -> None:
        graph = load(models_dir / "nsnet2.onnx")
        whole = session(models_dir / "nsnet2.onnx")
        proposals = list(wavefront.propose(graph))
        assert [item["chunks"] for item in proposals] == [8, 4]
        for parameters in proposals:
            found = wavefront.apply(graph, parameters)
            chunked = session(found.model, found.folder)
            for frames, batch in ((1, 1), (7, 2), (50, 1), (200, 1)):
                feeds = random_inputs(graph.model, {"input": (batch, frames, 161)})
                assert_equal(answers(chunked, feeds), answers(whole, feeds))

    def test_nsnet2_node_by_node(self, load: Load, models_dir: Path) -> None:
        graph = in_chunks(load(models_dir / "nsnet2.onnx"), 4)
        feeds = random_inputs(graph.model, {"input": (1, 50, 161)})
        assert_equal(node_by_node(graph, feeds), answers(session(models_dir / "nsnet2.onnx"), feeds))

    def test_silero_has_one_layer(self, load: Load, models_dir: Path) -> None:
        assert list(wavefront.propose(load(models_dir / "silero_vad_sequence.onnx"))) == []
