"""Bad input: one line that names the file or field, exit code 2, no traceback, bounded; nothing half-written."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from tests.support.bad_models import BAD_MODELS

# Models that need an input's shape, or a limit, to show what is wrong with them.
EXTRA = {"terabyte-by-shape": ["--input", "x=4"], "many-nodes": ["--max-nodes", "10000"]}
SECONDS = 5
"""What loading a model may take here, and running it once."""

MODEL = {
    "apiVersion": "chrion.dev/v1alpha1",
    "kind": "ChrionModel",
    "metadata": {"name": "m"},
    "spec": {"model": {"uri": "file://m.onnx"}},
}


@pytest.fixture(scope="module")
def refused(chrion, bad_models, tmp_path_factory):
    """Every bad model through `chrion plan`, two at a time, and what came of it."""
    folder = tmp_path_factory.mktemp("plans")
    limits = ["--max-seconds", str(SECONDS), "--max-memory", "2Gi"]

    def refuse(names):
        with chrion.forking() as run:
            for name in names:
                plan = folder / f"{name}.json"
                found[name] = run("plan", bad_models[name], "-o", plan, *limits, *EXTRA.get(name, []))

    found = {}
    names = iter(bad_models)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(refuse, [names, names]))
    assert not list(folder.iterdir())
    return found


@pytest.mark.parametrize("name", BAD_MODELS)
def test_bad_model(refused, bad_models, refusal, name):
    line = refusal(refused[name])
    assert str(bad_models[name]) in line
    assert len(line) < 1000


def test_bad_models_leave_nothing_in_the_cache(refused, chrion, bad_models):
    assert not list((chrion.cache / "models").glob(".*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-i", "sound=1x2"], 'the model has no input "sound"; it has input'),
        (["-i", "input=64x128"], "inputs.input: shape [64, 128] has rank 2"),
        (["-i", "input=64x1x5"], "inputs.input: axis 2 is 5, the model wants 128"),
        (["-i", "input=scalar"], "inputs.input: shape [] has rank 0"),
        (["-i", "input"], '--input: "input" is not NAME=SHAPE'),
        (["-i", "input="], '--input: "input=" is not NAME=SHAPE'),
        (["-i", "=1x2"], '--input: "=1x2" is not NAME=SHAPE'),
        (["-i", "input=-1x1x128"], '--input: "input=-1x1x128": "-1" is not a size'),
        (["-i", "input=axb"], '--input: "input=axb": "a" is not a size: put a whole number there'),
        (["-i", "input=64x1x128\nchrion: a second line"], "--input"),
        (["-i", "input=99999999999x1x128"], "inputs.input"),
        (["-i", "input=99999999999999999999999x1x128"], "inputs.input"),
        (["--value", "input=much"], '--value: "input=much": "much" is not a number'),
        (["--value", "input=nan"], '--value: "input=nan": "nan" is not a number'),
        (["--value", "input=1e999"], '--value: "input=1e999": "1e999" is not a number'),
        (["--value", "input="], '--value: "input=" is not NAME=NUMBER'),
        (["--value", "1"], '--value: "1" is not NAME=NUMBER'),
        (["--latency", "20 bananas"], 'latency: "20 bananas" is not a duration such as 20ms'),
        (["--gpu-memory", "lots"], 'gpuMemory: "lots" is not a quantity'),
        (["--timeout", "0s"], '--timeout: "0s" is not a duration'),
        (["--max-memory", "-1"], '--max-memory: "-1" is not a quantity'),
        (["--devices", "cuda:0"], "cuda:0: "),
        (["--devices", "nonsense"], '"nonsense" is not a device'),
        (["--devices", "cpu,emulated:x"], '"emulated:x" is not a device'),
        (["--lanes", "4096"], "4096 lanes"),
        (["--max-nodes", "1"], "--max-nodes"),
        (["--max-model-bytes", "1Ki"], "--max-model-bytes"),
    ],
)
def test_bad_options(quick, model, tmp_path, refusal, options, message):
    if options == ["--devices", "cuda:0"] and os.path.exists("/dev/nvidia0"):  # noqa: PTH110
        pytest.skip("there is a GPU here")
    plan = tmp_path / "plan.json"
    assert message in refusal(quick("plan", model, "-o", plan, *options))
    assert not plan.exists()


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [
        ("serve", "--port", "99999"),
        ("serve", "--port", "-1"),
        ("serve", "--metrics-port", "65536"),
        ("serve", "--metrics-port", "-2"),
        ("serve", "--grpc-port", "99999"),
        ("serve", "--grpc-port", "-1"),
        ("serve", "--batch", "-1"),
        ("serve", "--max-sequences", "0"),
        ("serve", "--otlp-endpoint", "http://localhost:99999"),
        ("serve", "--otlp-endpoint", "http://:4318"),
        ("run", "--port", "99999"),
        ("run", "--metrics-port", "99999"),
        ("run", "--grpc-port", "99999"),
        ("plan", "--lanes", "-1"),
        ("plan", "--max-nodes", "0"),
        ("plan", "--max-seconds", "0"),
        ("plan", "--max-seconds", "nan"),
        ("plan", "--max-seconds", "inf"),
        ("plan", "--max-error", "0"),
        ("plan", "--max-error", "nan"),
        ("bench", "--rounds", "4"),
        ("fetch", "--retries", "-1"),
    ],
)
def test_a_number_out_of_range_is_bad_input(quick, model, tmp_path, command, option, value):
    chrionmodel = tmp_path / "model.yaml"
    chrionmodel.write_text(yaml.safe_dump({**MODEL, "spec": {"model": {"uri": f"file://{model}"}}}))
    needed = {
        "serve": [model, "--plan", tmp_path / "plan.json"],
        "run": ["-f", chrionmodel],
        "plan": [model, "-o", tmp_path / "plan.json"],
        "bench": [model, "--plan", tmp_path / "plan.json"],
        "fetch": [f"file://{model}", "-o", tmp_path / "model.onnx"],
    }
    done = quick(command, *needed[command], option, value)
    assert done.returncode == 2, done.stderr
    assert option in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == [chrionmodel]


UNREADABLE = {
    "missing": lambda path: None,
    "directory": lambda path: path.mkdir(),
    "binary": lambda path: path.write_bytes(bytes(range(256))),
    "empty": lambda path: path.touch(),
    "list": lambda path: path.write_text("[1, 2]"),
    "text": lambda path: path.write_text("a letter: {"),
    "number": lambda path: path.write_text("5"),
    "deep": lambda path: path.write_text("[" * 100_000),
}


@pytest.mark.parametrize("kind", UNREADABLE)
@pytest.mark.parametrize("what", ["plan", "profile", "yaml", "onnx"])
def test_unreadable_file(quick, model, shape, tmp_path, refusal, what, kind):
    path = tmp_path / f"file.{what}"
    UNREADABLE[kind](path)
    commands = {
        "plan": ["serve", model, "--plan", path],
        "profile": ["plan", model, "-i", shape, "--profile", path, "-o", tmp_path / "out.json"],
        "yaml": ["run", "-f", path],
        "onnx": ["plan", path, "-o", tmp_path / "out.json"],
    }
    assert str(path) in refusal(quick(*commands[what]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "Deployment"}, "kind"),
        ({"apiVersion": "chrion.dev/v9"}, "apiVersion"),
        ({"metadata": {}}, "metadata.name: is required"),
        ({"spec": {}}, "spec.model: is required"),
        ({"spec": {"model": {"uri": "m.onnx"}}}, "spec.model.uri"),
        ({"spec": {"model": {"uri": "file://m.onnx"}, "slo": {"latency": "20 bananas"}}}, "spec.slo.latency"),
        ({"spec": {"model": {"uri": "file://m.onnx"}, "slo": {"latencyy": "20ms"}}}, "spec.slo.latencyy"),
        ({"spec": {"model": {"uri": "file://m.onnx"}, "inputs": [{"name": "x", "shap": [1]}]}}, "spec.inputs[0].shap"),
        ({"spec": {"model": {"uri": "file://missing.onnx"}}}, "missing.onnx: cannot be read"),
        ({"spec": {"model": {"uri": "https://example.com/m.onnx"}}}, "--model"),
    ],
)
def test_bad_chrionmodel(quick, tmp_path, refusal, change, message):
    path = tmp_path / "model.yaml"
    path.write_text(yaml.safe_dump({**MODEL, **change}))
    assert message in refusal(quick("run", "-f", path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda plan: plan.update(version=3), "version"),
        (lambda plan: plan.update(spam=1), "spam: is not a known field"),
        (lambda plan: plan["buckets"][0]["plans"][0]["stages"][0].update(lane="cpu/0"), "stages[0].lane"),
        (lambda plan: plan["buckets"][0]["plans"][0]["stages"][0].update(nodes="0-1,1"), "stages[0].nodes"),
        (lambda plan: plan["buckets"][0].update(plans=[]), "buckets[0].plans"),
        (lambda plan: plan["buckets"][0].update(inputs={"x": [1]}), "the plan is for inputs ['x']"),
        (lambda plan: plan["buckets"][0]["plans"][0].update(graph="0" * 64), "plan again"),
        (lambda plan: plan["buckets"][0]["plans"][0].update(rewrites=[{"name": "shred"}]), "shred"),
        (lambda plan: plan["buckets"][0]["plans"][0]["stages"][0].update(nodes="0"), "is in no stage"),
    ],
)
def test_bad_plan(quick, model, plan_file, edited, refusal, change, message):
    def only_one(plan):
        first = plan["buckets"][0]["plans"][-1]
        first["stages"] = [{**first["stages"][0], "lanes": ["cpu/0"], "nodes": "0-2"}]
        plan["buckets"][0]["plans"] = [first]
        change(plan)

    assert message in refusal(quick("serve", model, "--plan", edited(plan_file, only_one), "--port", "0"))


@pytest.mark.parametrize("command", ["plan", "profile", "explain"])
@pytest.mark.parametrize("place", ["below a file", "a folder"])
def test_output_that_cannot_be_written(quick, model, shape, plan_file, tmp_path, refusal, command, place):
    (tmp_path / "file").write_text("kept")
    output = tmp_path / "file" / "out" if place == "below a file" else tmp_path
    source = [plan_file] if command == "explain" else [model, "-i", shape]
    done = quick(command, *source, "--html" if command == "explain" else "-o", output)
    assert f"{output}: " in refusal(done)
    assert "profiling" not in done.stderr, "said before the work, not after it"
    assert (tmp_path / "file").read_text() == "kept"


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of its own with 128 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", folder]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk can only be mounted by root, and where mounting is allowed")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder):
    """Take all the space that is left."""
    with (folder / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


def test_full_disk_keeps_the_file_that_was_there(chrion, model, shape, one_lane_file, small_disk, refusal):
    plan = small_disk / "plan.json"
    plan.write_text("the plan before")
    fill(small_disk)
    line = refusal(chrion("plan", model, "-i", shape, "--profile", one_lane_file, "-o", plan))
    assert f"{plan}: cannot be written: No space left on device" in line
    assert plan.read_text() == "the plan before"
    assert {path.name for path in small_disk.iterdir()} == {"plan.json", "filler"}


def test_full_disk_under_the_cache(fresh_chrion, model, shape, small_disk, tmp_path, refusal):
    done = fresh_chrion("plan", model, "-i", shape, "-o", tmp_path / "plan.json", CHRION_CACHE=str(small_disk))
    line = refusal(done)
    assert str(small_disk) in line
    assert not [path for path in small_disk.rglob("*") if path.is_file()], "nothing half-written"


def test_cache_that_cannot_be_written(fresh_chrion, model, shape, tmp_path, refusal):
    (tmp_path / "file").touch()
    line = refusal(fresh_chrion("plan", model, "-i", shape, "-o", tmp_path / "p.json", CHRION_CACHE=f"{tmp_path}/file"))
    assert "set CHRION_CACHE to another folder" in line


def test_control_c_while_planning(chrion, model, shape, tmp_path):
    process = chrion.start("plan", model, "-i", shape, "--lanes", "1", "-o", tmp_path / "plan.json")
    process.wait_for("loading onnxruntime-default")
    process.signal(signal.SIGINT)
    assert process.end() == 130
    process.wait_for_no_survivors()
    assert "Traceback" not in process.err
    assert not list(tmp_path.iterdir())


def test_output_into_a_closed_pipe(chrion, plan_file):
    ours, theirs = os.pipe()
    os.close(ours)
    command = [Path(sys.executable).with_name("chrion"), "explain", plan_file]
    environment = chrion.environ({})
    done = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, text=True, env=environment, check=False)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (1, "")
