"""Whatever ONNX Runtime's default session runs is planned and served, and answers the same."""

import json
import logging
from urllib.request import urlopen

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, parser

import chrion as face
from chrion import cache
from chrion_api import Frontier, PlanFile, Rewrite
from chrion_graph import normalise
from chrion_graph.graph import Graph
from chrion_graph.limits import Limits
from chrion_graph.load import checked_digest
from chrion_graph.rewrite import replay
from chrion_graph.rewrite.inline_ifs import decided
from chrion_planner import measured_frontier
from chrion_runtime.devices import open_devices
from chrion_runtime.engines import key_of
from chrion_runtime.run.whole_plan import whole_plan
from chrion_runtime.servable import SequenceStep
from tests.support.odd_models import ODD_MODELS, with_defaults

QUIET = ort.SessionOptions()
QUIET.log_severity_level = 4
OPTIONAL = helper.make_optional_type_proto(helper.make_tensor_type_proto(1, None))


@pytest.fixture(autouse=True)
def in_haste(monkeypatch):
    for name, value in {"MEASURED_PLANS": 3, "_ROUNDS": 3, "_FINAL_ROUNDS": 3, "_TURN_SECONDS": 0.005}.items():
        monkeypatch.setattr(measured_frontier, name, value)


def by_default(path, feeds):
    session = ort.InferenceSession(path, QUIET, providers=["CPUExecutionProvider"])
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, dict(feeds)), strict=True))


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


def shapes(feeds):
    return {name: value.shape for name, value in feeds.items()}


@pytest.mark.parametrize("name", ODD_MODELS)
def test_an_odd_model_is_planned_and_answers_the_same(tmp_path, name):
    odd = ODD_MODELS[name]
    path = tmp_path / "odd.onnx"
    onnx.save(odd.build(), path)
    expected = by_default(path, odd.feeds)
    plan = face.plan(path, shapes(odd.feeds))
    session = face.Session(path, plan)
    try:
        for _ in range(2):
            assert_same(session.run(odd.feeds), expected)
    finally:
        session.close()


def test_what_runs_on_no_invented_values_is_planned_unmeasured_and_says_why(tmp_path, caplog):
    odd = ODD_MODELS["zeros and ones are out of range"]
    path = tmp_path / "odd.onnx"
    onnx.save(odd.build(), path)
    plan = face.plan(path, shapes(odd.feeds))
    (frontier,) = plan.buckets
    assert [one.measured for one in frontier.plans] == [None]
    assert "idx=5 must be within" in plan.fallback
    assert "values of at were made up: give inputs[].value (--value)" in plan.fallback
    with caplog.at_level(logging.WARNING):
        face.Session(path, plan).close()
    assert "not warmed up" in caplog.text


def test_with_a_value_that_it_runs_on_it_is_measured(tmp_path):
    odd = ODD_MODELS["zeros and ones are out of range"]
    path = tmp_path / "odd.onnx"
    onnx.save(odd.build(), path)
    specs = [
        face.InputSpec(name="x", shape=(3, 4)),
        face.InputSpec(name="at", shape=(1,), value=-4),
    ]
    plan = face.plan(path, specs)
    assert not plan.fallback
    assert plan.buckets[0].plans[0].measured


def test_what_cannot_be_normalised_is_served_in_one_piece(tmp_path, monkeypatch):
    odd = ODD_MODELS["a sequence between nodes"]
    path = tmp_path / "odd.onnx"
    onnx.save(odd.build(), path)
    monkeypatch.setenv("CHRION_CACHE", str(tmp_path / "cache"))
    folder = cache.folder() / "models" / f"{checked_digest(path, Limits())[:32]}-{ort.__version__}"
    folder.mkdir(parents=True)

    def broken(*_: object) -> None:
        raise ValueError("no such optimisation")

    with monkeypatch.context() as patched:
        patched.setattr(normalise, "_annotate", broken)
        normalise._normalise(path, folder, Limits())
    plan = face.plan(path, shapes(odd.feeds))
    assert plan.fallback == "no such optimisation"
    assert all(len(one.stages) == 1 for one in plan.buckets[0].plans)
    session = face.Session(path, plan)
    try:
        assert_same(session.run(odd.feeds), by_default(path, odd.feeds))
    finally:
        session.close()


def test_inputs_with_a_default_may_be_left_out_or_sent(tmp_path):
    path = tmp_path / "defaults.onnx"
    onnx.save(with_defaults(), path)
    random = np.random.default_rng(1)
    x = random.standard_normal((5, 1, 4)).astype(np.float32)
    h0 = random.standard_normal((1, 1, 8)).astype(np.float32)
    session = face.Session(path, face.plan(path, {"x": x.shape}))
    try:
        assert {spec.name: spec.optional for spec in session.inputs} == {"x": False, "h0": True, "c0": True}
        for feeds in ({"x": x}, {"x": x, "h0": h0}, {"x": x, "h0": h0, "c0": -h0}):
            assert_same(session.run(feeds), by_default(path, feeds))
    finally:
        session.close()


def test_inputs_with_a_default_may_be_state(tmp_path):
    path = tmp_path / "defaults.onnx"
    onnx.save(with_defaults(), path)
    x = np.random.default_rng(1).standard_normal((6, 1, 4)).astype(np.float32)
    plan = face.plan(path, {"x": (3, 1, 4)})
    session = face.Session(path, plan, state={"h": "h0", "c": "c0"})
    try:
        for part in (0, 1):
            step = SequenceStep(7, start=not part)
            found = session.run({"x": x[3 * part : 3 * part + 3]}, ["h"], step)
        assert_same(found, {"h": by_default(path, {"x": x})["h"]})
    finally:
        session.close()


def test_a_served_model_says_which_inputs_are_optional(tmp_path, chrion, serving, ask):
    path = tmp_path / "defaults.onnx"
    onnx.save(with_defaults(), path)
    (tmp_path / "plan.json").write_text(face.plan(path, {"x": (5, 1, 4)}).to_json())
    x = np.ones((5, 1, 4), np.float32)
    h0 = np.full((1, 1, 8), 0.5, np.float32)
    with serving(chrion, "serve", path, "--plan", tmp_path / "plan.json") as server:
        with urlopen(f"http://{server.address}/v2/models/{server.name}") as answer:
            inputs = json.load(answer)["inputs"]
        assert {one["name"]: one.get("optional", False) for one in inputs} == {"x": False, "h0": True, "c0": True}
        with urlopen(f"http://{server.address}/v2/models/{server.name}/config") as answer:
            inputs = json.load(answer)["input"]
        assert {one["name"]: one.get("optional", False) for one in inputs} == {"x": False, "h0": True, "c0": True}
        for feeds in ({"x": x}, {"x": x, "h0": h0}):
            assert_same(ask(server, feeds), by_default(path, feeds))


def test_weights_that_are_listed_as_inputs_stay_weights(tmp_path):
    model = with_defaults()
    info = helper.make_tensor_value_info
    model.graph.input.extend(info(name, onnx.TensorProto.FLOAT, None) for name in ("W", "R"))
    path = tmp_path / "weights.onnx"
    onnx.save(model, path)
    session = face.Session(path, face.plan(path, {"x": (5, 1, 4)}))
    try:
        assert [spec.name for spec in session.inputs] == ["x"]
    finally:
        session.close()


@pytest.mark.parametrize(
    ("node", "output", "advice"),
    [
        (("SplitToSequence", ["x"]), helper.make_tensor_sequence_value_info("y", 1, None), "ConcatFromSequence"),
        (("Optional", ["x"]), helper.make_value_info("y", OPTIONAL), "OptionalGetElement"),
        (("Cast", ["x"]), helper.make_tensor_value_info("y", onnx.TensorProto.BFLOAT16, None), "cast it"),
    ],
)
def test_what_is_no_tensor_at_the_edge_is_refused_with_the_way_out(tmp_path, node, output, advice):
    operator, reads = node
    attributes = {"to": onnx.TensorProto.BFLOAT16} if operator == "Cast" else {}
    graph = helper.make_graph(
        [helper.make_node(operator, reads, ["y"], **attributes)],
        "g",
        [helper.make_tensor_value_info("x", 1, [3, 4])],
        [output],
    )
    path = tmp_path / "edge.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    with pytest.raises(face.ChrionError, match=f'output "y" must be a tensor.*{advice}'):
        face.plan(path)


def test_errors_of_a_run_name_the_nodes_of_the_model(tmp_path):
    model = ODD_MODELS["zeros and ones are out of range"].build()
    next(node for node in model.graph.node if node.op_type == "Gather").name = "pick/one"
    path = tmp_path / "named.onnx"
    onnx.save(model, path)
    feeds = dict(ODD_MODELS["zeros and ones are out of range"].feeds)
    session = face.Session(path, face.plan(path, shapes(feeds)))
    try:
        with pytest.raises(face.ChrionError, match="pick/one"):
            session.run({**feeds, "at": np.array([9])})
    finally:
        session.close()


def test_requests_other_than_a_plan_assumes_are_answered_by_the_model_as_it_is(tmp_path, caplog):
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18]>
        g (float[b, t] x, int64 rate) => (float[b, t] y) {
            wide = Constant <value = int64 {16000}> ()
            is_wide = Equal(rate, wide)
            y = If (is_wide) <
                then_branch = a () => (float[b, t] out) { w = Tanh(x)  out = Relu(w) },
                else_branch = c () => (float[b, t] out) { w = Neg(x)  out = Relu(w) }
            >
        }"""
    )
    path = tmp_path / "rates.onnx"
    onnx.save(model, path)
    kept = cache.normalised(path, Limits())
    graph = Graph.load(kept.folder)
    shapes = {"x": (2, 300), "rate": ()}
    parameters = decided(graph.model.SerializeToString(), graph.folder, shapes, {"rate": 16000})
    rewrite = Rewrite(name="inline-ifs", parameters=parameters)
    devices = open_devices(["cpu"])
    plan = whole_plan(replay(graph, [rewrite]), devices["cpu"].lanes).model_copy(update={"rewrites": (rewrite,)})
    frontier = Frontier(inputs=shapes, plans=(plan,))
    plan_file = PlanFile(model=kept.digest, devices={"cpu": key_of(devices["cpu"])}, buckets=(frontier,))
    session = face.Session(path, plan_file, inputs=[face.InputSpec(name="rate", shape=(), value=16000)])
    x = np.random.default_rng(0).standard_normal((2, 300)).astype(np.float32)
    try:
        with caplog.at_level(logging.WARNING):
            for rate in (16000, 8000, 16000, 44100):
                feeds = {"x": x, "rate": np.array(rate)}
                assert_same(session.run(feeds), by_default(path, feeds))
        (said,) = [record.getMessage() for record in caplog.records]
        assert "assumes (rate 16000)" in said
        # No stage of the plan reads it. What is no scalar is as the model as it is has it.
        with pytest.raises(face.UnfitValues, match=r"inputs.rate: shape \[2\] has 1 dimensions"):
            session.run({"x": x, "rate": np.array([16000, 16000])})
        feeds = {"x": x, "rate": np.array([16000])}
        assert_same(session.run(feeds), by_default(path, feeds))
    finally:
        session.close()


@pytest.mark.parametrize("planned", [False, True])
def test_strings_may_be_an_array_of_numpys_own_strings(tmp_path, planned):
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18]>
        g (string[n] x) => (string[n] y) { y = Identity(x) }"""
    )
    path = tmp_path / "strings.onnx"
    onnx.save(model, path)
    words = np.array(["yes", "größer"])
    with face.Session(path, face.plan(path, {"x": (2,)}) if planned else None) as session:
        for given in (words, words.astype(object)):
            assert session.run({"x": given}, ["y"])["y"].tolist() == words.tolist()
        with pytest.raises(face.RunError, match=r"inputs.x: is int64, the model takes strings"):
            session.run({"x": np.array([1, 2])})
