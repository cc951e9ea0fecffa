"""What a device refuses: asked of ONNX Runtime, or looked up in a profile."""

from pathlib import Path

import onnx
import onnxruntime as ort
import pytest

from chrion_api import InputSpec, Profile
from chrion_graph.attributes import integer
from chrion_graph.limits import Limits
from chrion_graph.signature import signatures
from chrion_planner.partition import Budget
from chrion_planner.planner import predicted_plans
from chrion_planner.prepare import prepare
from chrion_planner.refusals import asked, known, refuses
from chrion_runtime.devices.emulated import Emulated
from chrion_runtime.engines.onnxruntime.engine import OnnxRuntime
from chrion_runtime.errors import DeviceUnavailable
from tests.support.one_layer import OneLayer
from tests.support.partition import normalised

LIMITS = Limits(seconds=60)
QUICK = Budget(search_work=20_000, stage_work=20_000, tasks=0)


@pytest.fixture
def picky(monkeypatch):
    """The first emulated accelerator takes no GRU whose reset gate comes before the product, as cuDNN does not."""
    compile_ = OnnxRuntime.compile

    def refusing(engine, path, site, options):
        for node in onnx.load(path, load_external_data=False).graph.node:
            refused = node.op_type == "GRU" and not integer(node, "linear_before_reset", 0)
            if refused and site.device.name == "emulated:0":
                raise DeviceUnavailable("assigned to the default CPU EP")
        return compile_(engine, path, site, options)

    monkeypatch.setattr(OnnxRuntime, "compile", refusing)


@pytest.mark.usefixtures("picky")
def test_a_node_is_refused_where_the_device_cannot_load_it(tmp_path):
    device = Emulated("emulated:0", 0)
    for linear, refused in ((0, True), (1, False)):
        graph = normalised(OneLayer("GRU", attributes={"linear_before_reset": linear}).model(), tmp_path / str(linear))
        assert refuses(device, graph, 0) == refused
        assert not refuses(Emulated("emulated:1", 1), graph, 0)
        assert not list(graph.folder.glob("probe-*")), "nothing is left behind"


def test_devices_are_asked_in_a_process_of_their_own(tmp_path):
    graph = normalised(OneLayer("GRU").model(), tmp_path)
    assert list(asked(("cpu", "emulated:0"), LIMITS)({}, graph, (0,))) == []
    assert list(asked(("cpu",), LIMITS)({}, graph, (0,))) == []


@pytest.fixture
def model(tmp_path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(OneLayer("GRU", steps=4).model().SerializeToString())
    return path


def refusing(profile: Profile, device: str, operator: str) -> Profile:
    """The profile of a device that refuses every node of an operator."""
    entries = [
        entry.model_copy(
            update={
                "nodes": {
                    name: None if name.startswith(f"{operator}-") else cost for name, cost in entry.nodes.items()
                },
                "wholes": (),
            }
        )
        if entry.name == device
        else entry
        for entry in profile.devices
    ]
    return profile.model_copy(update={"devices": tuple(entries)})


def test_a_profile_that_refuses_a_node_brings_its_cells_and_a_plan_that_is_all_on_the_device(
    model, prepared_file, made_up_profile
):
    specs = [InputSpec(name="X", shape=(4, 3, 5))]
    plain = prepared_file(model, specs)
    assert [len(one.rewrites) for one in plain.buckets[0].variants] == [0]
    everything = prepare(model, plain.digest, plain.folder, specs, LIMITS, lambda feeds, graph, nodes: nodes)
    profile = refusing(made_up_profile(everything, cpu_lanes=1, accelerator="cuda:0"), "cuda:0", "GRU")

    prepared = prepare(model, plain.digest, plain.folder, specs, LIMITS, known(profile, LIMITS))
    assert [[each.name for each in one.rewrites] for one in prepared.buckets[0].variants] == [[], ["unroll"]]
    names = signatures(prepared.buckets[0].variants[1].bucket.graph, prepared.buckets[0].variants[1].bucket.shapes)
    assert all(profile.device("cuda:0").nodes[name] for name in names)
    again = prepare(model, plain.digest, plain.folder, specs, LIMITS, known(made_up_profile(everything), LIMITS))
    assert len(again.buckets[0].variants) == 1, "nothing is refused"

    file = predicted_plans(prepared, profile, QUICK)
    assert file == predicted_plans(prepared, profile, QUICK)


def test_the_provider_says_which_nodes_it_has_been_given(tmp_path):
    """What the refusals rest on: ONNX Runtime tells the provider of every node."""
    graph = normalised(OneLayer("GRU").model(), tmp_path)
    options = ort.SessionOptions()
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    session = ort.InferenceSession(graph.folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    given = [
        (part.ep_name, node.op_type)
        for part in session.get_provider_graph_assignment_info()
        for node in part.get_nodes()
    ]
    assert given == [("CPUExecutionProvider", "GRU")]
