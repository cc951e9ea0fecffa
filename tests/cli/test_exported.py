"""Models as PyTorch, Keras and scikit-learn export them, by the code of docs/exporting.md, planned and served."""

from importlib.util import find_spec

import numpy as np
import onnx
import pytest
import tritonclient.http as triton

import chrion as face
from chrion_graph.recurrent import RECURRENT
from chrion_runtime.engines import engine_named
from tests.support.command import Server
from tests.support.exports import EXPORTED, RECORDED, bare, export
from tests.support.partition import normalised

STATEFUL = [one for one in EXPORTED if one.state]


def name(exported):
    return exported.name


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """`fresh(exported)`: the model as it is exported now; each section runs once."""
    folders = {}

    def make(exported):
        if missing := [module for module in exported.modules if find_spec(module) is None]:
            pytest.skip(f"{', '.join(missing)} not installed: pip install it to export the models again")
        if exported.section not in folders:
            folders[exported.section] = tmp_path_factory.mktemp("exported")
            export(exported.section, folders[exported.section])
        return folders[exported.section] / exported.file

    return make


def arguments(exported, path, folder):
    """What serves a model by a plan of it, which is made here and now."""
    plan = face.plan(path, exported.shapes, devices=["cpu"], cpu_lanes=1, timeout_seconds=1)
    file = folder / f"{exported.name}.json"
    file.write_text(plan.to_json())
    state = (f"--state={exported.name}:{output}={name}" for output, name in exported.state.items())
    return [path, "--plan", file, *state]


def feeds(shapes, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.fixture(scope="module", autouse=True)
def cache(chrion):
    """The same cache folder as the command's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHRION_CACHE", str(chrion.cache))
        yield


@pytest.fixture(scope="module")
def server(chrion, serving, tmp_path_factory):
    """One server of all recorded models, each planned."""
    folder = tmp_path_factory.mktemp("plans")
    several = [part for one in EXPORTED for part in arguments(one, RECORDED / one.file, folder)]
    with serving(chrion, "serve", *several) as running:
        yield running


def check(server, exported, path, ask, reference, assert_equal):
    """What is served is what ONNX Runtime answers, at the shapes that were planned for and at others."""
    served = Server(server.process, exported.name, server.address)
    for seed, shapes in enumerate((exported.shapes, exported.others)):
        assert_equal(ask(served, feeds(shapes, seed)), reference(path, feeds(shapes, seed)))


@pytest.mark.parametrize("exported", EXPORTED, ids=name)
def test_recorded_models_are_served(exported, server, ask, reference, assert_equal):
    check(server, exported, RECORDED / exported.file, ask, reference, assert_equal)


@pytest.mark.parametrize("exported", EXPORTED, ids=name)
def test_recorded_models_are_small_and_say_nothing_of_where_they_were_made(exported):
    path = RECORDED / exported.file
    assert path.stat().st_size < 20_000
    assert onnx.load(path) == bare(onnx.load(path))


@pytest.mark.parametrize("exported", EXPORTED, ids=name)
def test_layers_are_kept_whole(exported, tmp_path):
    graph = normalised(RECORDED / exported.file, tmp_path)
    layers = [index for index, node in enumerate(graph.nodes) if node.op_type in RECURRENT]
    claims = engine_named("recurrent").claims(graph, "cpu")
    assert len(layers) == len(claims) == bool(exported.state)
    assert all(layer in claim for layer, claim in zip(layers, claims, strict=True))


@pytest.mark.parametrize("exported", STATEFUL, ids=name)
def test_a_stream_in_chunks_is_the_whole_stream(exported, server, reference):
    whole = feeds({"frames": (1, 24, 8)})["frames"]
    found = []
    with triton.InferenceServerClient(server.address) as client:
        for position, chunk in enumerate(np.split(whole, 4, axis=1)):
            frames = triton.InferInput("frames", chunk.shape, "FP32").set_data_from_numpy(np.ascontiguousarray(chunk))
            options = {"sequence_id": exported.name, "sequence_start": not position, "sequence_end": position == 3}
            found.append(client.infer(exported.name, [frames], **options).as_numpy("mask"))
    begin = {name: np.zeros(exported.shapes[name], np.float32) for name in exported.state.values()}
    wanted = reference(RECORDED / exported.file, {"frames": whole, **begin})["mask"]
    np.testing.assert_allclose(np.concatenate(found, axis=1), wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("exported", EXPORTED, ids=name)
def test_models_are_exported_as_they_were_recorded(exported, fresh):
    now, then = (onnx.load(path).graph for path in (fresh(exported), RECORDED / exported.file))
    for values in ("input", "output"):
        assert [*map(str, getattr(now, values))] == [*map(str, getattr(then, values))]


@pytest.mark.slow
@pytest.mark.parametrize("exported", EXPORTED, ids=name)
def test_models_exported_now_are_served(exported, fresh, chrion, serving, tmp_path, ask, reference, assert_equal):
    path = fresh(exported)
    with serving(chrion, "serve", *arguments(exported, path, tmp_path)) as server:
        check(server, exported, path, ask, reference, assert_equal)
