"""Several models in one process: by `chrion serve` in pairs, by `chrion run` from files, and from a repository."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
import tritonclient.http as triton
import yaml

from chrion_api import GpuBytes
from chrion_models.families.stack import stack
from tests.support.command import Server
from tests.support.plans import Planned

SHAPES = {"input": (4, 1, 16)}


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Three small models, each with a plan: `three["gru"]`."""
    folder = tmp_path_factory.mktemp("three")
    found = {}
    for operator in ("LSTM", "GRU", "RNN"):
        name = operator.lower()
        (folder / name).mkdir()
        model = folder / name / f"{name}.onnx"
        onnx.save(stack(operator, "forward", 1, 16, 8, 1).build(), model)
        planned = Planned(model, folder / name, SHAPES)
        planned.file = planned.write(folder / name / "plan.json")
        found[name] = planned
    return found


def feeds(seed):
    return {"input": np.random.default_rng(seed).standard_normal(SHAPES["input"]).astype(np.float32)}


def check(server, three, ask, reference, assert_equal, names=None):
    for name, planned in three.items():
        if names is None or name in names:
            assert_equal(ask(Server(server.process, name, server.address), feeds(3)), reference(planned.path, feeds(3)))


def pairs(three):
    return [*(one.path for one in three.values()), *(part for one in three.values() for part in ("--plan", one.file))]


def test_pairs_in_order(chrion, serving, three, ask, reference, assert_equal):
    with serving(chrion, "serve", *pairs(three)) as server:
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda _: check(server, three, ask, reference, assert_equal), range(6)))
        said = server.process.out
        assert all(f"{name}: serving on http://{server.address}/v2/models/{name}" in said for name in three)


def test_names_in_order(chrion, serving, three, ask, reference, assert_equal):
    lstm, gru = three["lstm"], three["gru"]
    options = ["--plan", lstm.file, "--plan", gru.file, "--name", "a", "--name", "b"]
    with serving(chrion, "serve", lstm.path, gru.path, *options) as server:
        for name, planned in (("a", lstm), ("b", gru)):
            assert_equal(ask(Server(server.process, name, server.address), feeds(1)), reference(planned.path, feeds(1)))


def test_command_lines_that_do_not_pair(quick, three, refusal, tmp_path):
    lstm, gru = three["lstm"], three["gru"]
    port = ("--port", "0", "--metrics-port", "-1")
    copy = tmp_path / "lstm.onnx"
    shutil.copy(lstm.path, copy)
    cases = {
        f"--plan: there are 2 models and 1 plans; give one for each, in order: {gru.path} has none": (
            lstm.path, gru.path, "--plan", lstm.file,
        ),
        f"1 models and 2 plans; give one for each, in order: {gru.file} is for none": (
            lstm.path, "--plan", lstm.file, "--plan", gru.file,
        ),
        "--name: there are 2 models and 1 names": (
            lstm.path, gru.path, "--plan", lstm.file, "--plan", gru.file, "--name", "x",
        ),
        f'{copy}: would have the same name as {lstm.path}, "lstm"': (
            lstm.path, copy, "--plan", lstm.file, "--plan", lstm.file,
        ),
        f"{gru.path}: the plan was made for model": (lstm.path, gru.path, "--plan", gru.file, "--plan", lstm.file),
        "name a model with its --plan, or a --repository": (),
        '--state: "a=b" does not say which model; write MODEL:a=b, where MODEL is lstm or gru': (
            lstm.path, gru.path, "--plan", lstm.file, "--plan", gru.file, "--state", "a=b",
        ),
        f"{gru.path}: state a=b: the model has no output": (
            lstm.path, gru.path, "--plan", lstm.file, "--plan", gru.file, "--state", "gru:a=b",
        ),
        '--state: "nothing" is not OUTPUT=INPUT': (lstm.path, "--plan", lstm.file, "--state", "nothing"),
        f"{tmp_path / 'none'}: is not a folder": ("--repository", tmp_path / "none"),
    }  # fmt: skip
    for words, arguments in cases.items():
        if words.startswith(str(gru.path)) and "the plan" in words:
            words = "the plan was made for model"
        assert words in refusal(quick("serve", *arguments, *port)), words


def chrion_model(name, path, **spec):
    head = {"apiVersion": "chrion.dev/v1alpha1", "kind": "ChrionModel", "metadata": {"name": name}}
    base = {
        "model": {"uri": f"file://{path}"},
        "inputs": [{"name": "input", "shape": list(SHAPES["input"])}],
        "devices": {"gpuResource": "", "cpuLanes": 1},
        "planner": {"timeout": "1s"},
    }
    return {**head, "spec": {**base, **spec}}


def test_run_files(chrion, serving, quick, three, ask, reference, assert_equal, refusal, tmp_path):
    files = []
    for name in ("lstm", "gru"):
        files.append(tmp_path / f"{name}.yaml")
        files[-1].write_text(yaml.safe_dump(chrion_model(name, three[name].path)))
    same = tmp_path / "same.yaml"
    same.write_text(files[0].read_text())
    assert f'{same}: metadata.name: {files[0]} has the name "lstm" too' in refusal(
        quick("run", "-f", files[0], "-f", same)
    )
    assert "is for one ChrionModel, but -f gives 2" in refusal(
        quick("run", "-f", files[0], "-f", files[1], "-o", tmp_path / "plan.json")
    )
    broken = tmp_path / "broken.yaml"
    broken.write_text(yaml.safe_dump(chrion_model("broken", tmp_path / "none.onnx")))
    assert "none.onnx" in refusal(quick("run", "-f", files[0], "-f", broken))
    with serving(chrion, "run", "-f", files[0], "-f", files[1]) as server:
        check(server, three, ask, reference, assert_equal, ("lstm", "gru"))


@pytest.fixture(scope="module")
def repository(three, tmp_path_factory):
    """The models as a repository; "gru" has a ChrionModel."""
    root = tmp_path_factory.mktemp("repository")
    for name, planned in three.items():
        (root / name).mkdir()
        shutil.copy(planned.path, root / name / "model.onnx")
        shutil.copy(planned.file, root / name / "plan.json")
    objective = {"slo": {"latency": "90ms"}, "model": {"uri": "file:///etc/passwd"}}
    (root / "gru" / "chrionmodel.yaml").write_text(yaml.safe_dump(chrion_model("gru", "x", **objective)))
    return root


def test_repository(chrion, serving, three, repository, ask, reference, assert_equal):
    lstm = three["lstm"]
    options = ["--plan", lstm.file, "--name", "fixed", "--repository", repository]
    with serving(chrion, "serve", lstm.path, *options) as server:
        client = triton.InferenceServerClient(server.address)
        client.load_model("gru")
        client.load_model("rnn")
        check(server, three, ask, reference, assert_equal, ("gru", "rnn"))
        assert Server(server.process, "gru", server.address).plan()["slo"]["latency"] == "90ms"
        (repository / "rnn" / "plan.json").write_text(json.dumps({"version": 1}))
        with pytest.raises(triton.InferenceServerException, match="rnn") as caught:
            client.load_model("rnn")
        assert caught.value.status() == "400"
        check(server, three, ask, reference, assert_equal, ("rnn",))
        client.unload_model("gru")
        index = {one["name"]: one["state"] for one in client.get_model_repository_index()}
        assert index == {"fixed": "READY", "gru": "UNAVAILABLE", "lstm": "UNAVAILABLE", "rnn": "READY"}
        (repository / "gru" / "chrionmodel.yaml").write_text(yaml.safe_dump(chrion_model("other", "x")))
        with pytest.raises(triton.InferenceServerException, match='"other" is not the folder'):
            client.load_model("gru")


def test_a_repository_alone(chrion, repository):
    process = chrion.start("serve", "--port", "0", "--metrics-port", "-1", "--repository", repository)
    try:
        address = process.wait_for("load models through http://").rpartition("http://")[2].split("/")[0]
        client = triton.InferenceServerClient(address)
        assert client.is_server_ready()
        client.load_model("lstm")
        assert client.is_model_ready("lstm")
    finally:
        process.popen.terminate()
        assert process.end() == 0, process.err


def test_models_that_do_not_fit_the_gpu_together(three, tmp_path, monkeypatch):
    """Each would have its budget; the device has not enough for both."""
    from chrion_api import SLO
    from chrion_runtime.devices.emulated import EmulatedMemory
    from chrion_runtime.errors import PlanRefused
    from chrion_runtime.planned_model import Hosting, PlannedModel
    from chrion_runtime.run.machine import Machine

    monkeypatch.setattr(EmulatedMemory, "total_bytes", 1000)
    graph = three["lstm"].graph
    cut = [(range(len(graph.nodes)), ("emulated:0/0",))]
    sizes = {"a": 500, "b": 400, "c": 300}
    models = {
        name: Planned(
            three["lstm"].path,
            tmp_path / name,
            SHAPES,
            cut,
            ["emulated:0"],
            GpuBytes(weights=size, context=100),
        )
        for name, size in sizes.items()
    }
    machine = Machine()

    def opened(name):
        one = models[name]
        slo = SLO.parse({"gpuMemory": "700"}, "slo")
        return PlannedModel(one.normalised, one.plan_file, name=name, slo=slo, hosting=Hosting(machine=machine))

    a = opened("a")
    b = opened("b")  # 500 + 400, and the context of 100 once
    with pytest.raises(PlanRefused) as caught:
        opened("c")
    assert str(caught.value) == (
        'emulated:0 has 1000 bytes; "c" takes 400 of them, and of the models beside it "a" 600, "b" 500: '
        "lower a slo.gpuMemory, or serve them apart"
    )
    b.close()
    c = opened("c")
    assert c.run(feeds(0)).keys() == a.run(feeds(0)).keys()
    c.close()
    a.close()
    assert not machine.locks.shared
