"""A session without a plan: it answers at once, plans in the background, and takes the plan over while calls run."""

import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest

import chrion as face
from chrion.taking_over import check_agree
from chrion_runtime.unplanned_model import UnplannedModel
from tests.support.face_models import FEATURES, adder, frames
from tests.support.plans import Planned
from tests.support.waiting import wait_until

SOON = 200.0
"""Seconds within which a model of one node is planned on a busy machine."""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of this test's own, in which nothing is planned."""
    monkeypatch.setenv("CHRION_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def model(tmp_path):
    """The file of a model whose input has open axes."""
    onnx.save(frames(), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


@pytest.fixture
def step(tmp_path):
    """The file of a model that can carry state."""
    onnx.save(adder(), tmp_path / "step.onnx")
    return tmp_path / "step.onnx"


def asked(frames=20, seed=0):
    return {"input": np.random.default_rng(seed).standard_normal((1, frames, FEATURES)).astype(np.float32)}


def in_haste(seconds=5.0):
    return face.PlanningOptions(devices=["cpu"], cpu_lanes=1, timeout_seconds=seconds)


def children(pid=None):
    """The processes that a process has started, and those that they have."""
    folder = Path(f"/proc/{pid or os.getpid()}/task")
    try:
        own = [int(child) for task in folder.iterdir() for child in (task / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return set()
    return {*own, *(below for child in own for below in children(child))}


@pytest.fixture
def leaves_nothing(cache):
    """`leaves_nothing()` fails where a process or a thread of planning, or half a file in the cache, is left."""
    before = children()

    def check():
        wait_until(lambda: not children() - before, "all processes have ended")  # the kernel ends them one by one
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("chrion-planning")]
        assert not list(cache.rglob(".*"))

    return check


def child_of_planning(before):
    """The process that plans, once it is there."""
    return min(wait_until(lambda: children() - before, "there is a process that plans"))


def test_first_answer_is_the_default_sessions(model, reference):
    with face.Session(model) as session:
        answer = session.run(asked())
        assert not session.planned
        assert session.selections == ()
        assert session.describe_plan()["buckets"] == []
    np.testing.assert_array_equal(answer["output"], reference(model, asked())["output"])


def test_takes_a_plan_over_while_calls_run(model, reference, assert_equal, leaves_nothing):
    done = threading.Event()

    def ask(seed):
        """Answers, by the plan too."""
        feeds, after = asked(seed=seed), 0
        wanted = reference(model, feeds)
        while after < 20:
            after += done.wait(0.02)  # calls without a pause would leave planning next to nothing of a busy machine
            assert_equal(session.run(feeds), wanted)
        return True

    with face.Session(model, planning=in_haste()) as session, ThreadPoolExecutor(2) as pool:
        before = weakref.ref(session._serving)
        asking = [pool.submit(ask, seed) for seed in range(2)]
        try:
            wait_until(lambda: session.planning.ended or any(one.done() for one in asking), "planning", SOON)
        finally:
            done.set()
        assert all(one.result() for one in asking)
        assert session.planning.error is None
        assert session.wait()
        gc.collect()
        assert before() is None, "the default session is freed"
        assert [bucket["inputs"] for bucket in session.describe_plan()["buckets"]] == [{"input": [1, 20, FEATURES]}]
    leaves_nothing()


def test_a_plan_of_the_cache_is_used_at_once(model, leaves_nothing):
    inputs = {"input": (1, 20, FEATURES)}
    for cached in (False, True):
        with face.Session(model, inputs=inputs, planning=in_haste(600)) as session:
            assert session.wait(SOON)
            assert session.planning.cached == cached
            assert session.planning.part == 1.0
            assert session.run(asked())["output"].shape == (1, 20, FEATURES)
    leaves_nothing()


def test_shapes_of_the_first_calls_are_planned_for(model):
    with face.Session(model, planning=in_haste()) as session:
        for count in (30, 10):
            session.run(asked(count))
        assert session.wait(SOON)
        planned = [bucket["inputs"]["input"] for bucket in session.describe_plan()["buckets"]]
    assert planned == [[1, 10, FEATURES], [1, 30, FEATURES]]


@pytest.mark.parametrize("begun", [False, True])
def test_closed_while_it_plans(model, leaves_nothing, begun):
    before = children()
    with face.Session(model, inputs={"input": (1, 20, FEATURES)}, planning=in_haste(600)) as session:
        child = child_of_planning(before)
        if begun:
            wait_until(lambda: session.planning.part > 0, "it plans")
        assert os.getpriority(os.PRIO_PROCESS, child) > os.getpriority(os.PRIO_PROCESS, 0) or not begun
    assert session.planning.ended
    assert session.planning.error is None
    session.close()
    leaves_nothing()


@pytest.mark.parametrize("ending", ["", "os.kill(os.getpid(), 9)"])
def test_programs_that_end_without_closing(chrion, model, ending):
    script = f"""
import os, sys, time
import chrion, numpy as np
session = chrion.Session(sys.argv[1], inputs={{"input": (1, 20, {FEATURES})}})
session.run({{"input": np.zeros((1, 20, {FEATURES}), np.float32)}})
while session.planning.doing == "waiting for a first call":
    time.sleep(0.01)
print("answered", flush=True)
{ending}
"""
    command = [sys.executable, "-c", script, model]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, start_new_session=True, env=chrion.environ({}), **pipes) as program:
        assert program.communicate() == ("answered\n", "")
    assert program.returncode == (-signal.SIGKILL if ending else 0)
    wait_until(lambda: not alive(program.pid), "all its processes have ended")


def alive(group):
    """Whether there is a process of this group."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_closed_before_a_first_call(model, leaves_nothing):
    with face.Session(model) as session, pytest.raises(face.UsageError, match="before the first call"):
        session.wait()
    assert session.planning.ended
    leaves_nothing()


@pytest.mark.parametrize("moment", ["waiting", "planning", "planned"])
def test_dropped_without_closing(model, leaves_nothing, moment):
    inputs = {} if moment == "waiting" else {"input": (1, 20, FEATURES)}
    before = children()
    session = face.Session(model, inputs=inputs, planning=in_haste(600 if moment == "planning" else 5))
    held = weakref.ref(session)
    if moment == "planning":
        child_of_planning(before)
    elif moment == "planned":
        assert session.wait(SOON)
    warned = pytest.warns(ResourceWarning, match="model: the session was not closed")
    with warned:
        del session
    assert held() is None
    wait_until(lambda: not [thread for thread in threading.enumerate() if "planning" in thread.name], "planning ends")
    leaves_nothing()


def test_closed_by_an_error_inside_the_block(model, leaves_nothing):
    session = face.Session(model)
    with pytest.raises(KeyError), session:
        session.run(asked())["no output"]
    assert session.planning.ended
    leaves_nothing()


def test_planning_that_fails_is_said_once_and_serves_on(model, caplog, reference):
    options = face.PlanningOptions(devices=["cuda:99"])
    with caplog.at_level(logging.WARNING), face.Session(model, planning=options) as session:
        answer = session.run(asked())
        assert not session.wait(SOON)
        assert isinstance(session.planning.error, face.DeviceUnavailable)
        assert "cuda:99" in str(session.planning.error)
        np.testing.assert_array_equal(session.run(asked())["output"], answer["output"])
        assert not session.wait()
    (record,) = caplog.records
    assert record.getMessage() == f"model: answers on without a plan: {session.planning.error}"


def test_planning_that_is_killed_serves_on(model):
    before = children()
    with face.Session(model, inputs={"input": (1, 20, FEATURES)}) as session:
        os.kill(child_of_planning(before), signal.SIGKILL)
        assert not session.wait(SOON)
        assert isinstance(session.planning.error, face.LimitExceeded)
        assert session.run(asked())["output"].shape == (1, 20, FEATURES)


def test_state_goes_on_by_the_plan(step):
    options = {"state": {"sum": "before"}, "planning": in_haste()}
    ones = {"x": np.ones((1, 4), np.float32)}
    with face.Session(step, **options) as session:
        for count in range(1, 4):
            answer = session.run(ones, sequence=face.SequenceStep("s", start=count == 1))
            np.testing.assert_array_equal(answer["twice"], np.full((1, 4), 2 * count, np.float32))
            assert "sum" not in answer
        assert session.wait(SOON)
        answer = session.run(ones, ["sum", "twice"], sequence=face.SequenceStep("s", end=True))
        np.testing.assert_array_equal(answer["sum"], np.full((1, 4), 4, np.float32))
        with pytest.raises(face.SequenceLost):
            session.run(ones, sequence=face.SequenceStep("s"))


class NoArray:
    """A tensor of a framework, which refuses to become an array."""

    def __init__(self, error: type[Exception]) -> None:
        self.error = error

    def __array__(self, dtype=None, copy=None):
        raise self.error("the tensor is\non a GPU")


@pytest.mark.parametrize(
    ("feeds", "error", "message"),
    [
        ({}, face.RunError, r"inputs: missing \['input'\]"),
        ({"input": np.zeros((1, 2, FEATURES))}, face.RunError, "inputs.input: is float64, the model takes float32"),
        ({"input": np.zeros((1, 2, 5), np.float32)}, face.UnfitValues, r"inputs.input: dimension 2 of .* is 5"),
        ({"input": np.zeros((1, 2), np.float32)}, face.UnfitValues, r"inputs.input: shape \[1, 2\] has 2 dimensions"),
        (None, face.RunError, "inputs: give arrays by the names of the model's inputs, not NoneType"),
        ([np.zeros((1, 2, 5), np.float32)], face.RunError, "inputs: .* not list"),
        (
            {"input": [[1.0], [1.0, 2.0]]},
            face.RunError,
            "inputs.input: list cannot be made a numpy array: .* inhomogeneous",
        ),
        (
            {"input": NoArray(TypeError)},
            face.RunError,
            "inputs.input: NoArray cannot be made a numpy array: .* on a GPU",
        ),
        ({"input": NoArray(RuntimeError)}, face.RunError, "inputs.input: NoArray cannot be made a numpy array"),
    ],
)
@pytest.mark.parametrize("planned", [False, True])
def test_wrong_inputs(model, planned, feeds, error, message):
    plan = face.plan(model, {"input": (1, 20, FEATURES)}, devices=["cpu"], timeout_seconds=1) if planned else None
    with face.Session(model, plan) as session, pytest.raises(error, match=message) as caught:
        session.run(feeds)
    assert "\n" not in str(caught.value)
    assert not session.planning.error


@pytest.mark.parametrize(
    ("outputs", "problem"),
    [
        ("output", r'such as \["output"\], not a string'),
        (3, "outputs: give a list of names, not int"),
        ([3], r"outputs: the model has no \[3\]"),
        ([["output"]], "outputs: the model has no"),
    ],
)
def test_outputs_that_are_no_names_are_refused(model, outputs, problem):
    with face.Session(model) as session, pytest.raises(face.RunError, match=problem):
        session.run(asked(), outputs)


def test_inputs_and_outputs_are_known_before_there_is_a_plan(step):
    with face.Session(step, name="adder", slo={"latency": "1s"}) as session:
        assert [(spec.name, spec.shape) for spec in session.inputs] == [("x", (1, 4)), ("before", (1, 4))]
        assert [spec.name for spec in session.outputs] == ["sum", "twice"]
        assert (session.name, session.mode, str(session.slo.latency)) == ("adder", face.Mode.MEMORY, "1s")
        with pytest.raises(face.RunError, match="the model has no"):
            session.run({name: np.ones((1, 4), np.float32) for name in ("x", "before")}, ["z"])


def test_a_stopped_run_ends(model):
    stop = face.Stop()
    stop.set()
    with face.Session(model) as session, pytest.raises(face.RunStopped):
        session.run(asked(), stop=stop)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"slo": {"latency": "20 bananas"}}, "slo.latency"),
        ({"mode": "Fastest"}, 'mode: "Fastest"'),
        ({"inputs": {"input": 5}}, "inputs.input"),
        ({"state": {"output": "x"}}, 'the model has no input "x"'),
        ({"plan": "plan.json", "planning": face.PlanningOptions()}, "there is a plan already"),
    ],
)
def test_wrong_options(model, options, message):
    with pytest.raises(face.ChrionError, match=message):
        face.Session(model, **options)


def test_files_that_are_no_models(tmp_path):
    (tmp_path / "text.onnx").write_text("no model")
    for name, message in (("missing.onnx", "cannot be read"), ("text.onnx", "is not an ONNX file")):
        with pytest.raises(face.InvalidModel, match=f"{name}: {message}"):
            face.Session(tmp_path / name)


def test_a_plan_that_answers_otherwise_does_not_take_over(model, tmp_path):
    other = frames()
    weights = onnx.numpy_helper.to_array(other.graph.initializer[0])
    other.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(1.01 * weights, "weights"))
    planned = Planned(other, tmp_path, {"input": (1, 20, FEATURES)})
    serving = planned.opening()(None)
    try:
        with pytest.raises(face.PlanRefused, match="answers otherwise than the model"):
            check_agree(serving, UnplannedModel(model), ())
        check_agree(serving, UnplannedModel(planned.path), ())
    finally:
        serving.close()


@pytest.mark.parametrize("planned", [False, True])
def test_a_closed_session_says_so(model, planned):
    plan = face.plan(model, {"input": (1, 20, FEATURES)}, devices=["cpu"], timeout_seconds=1) if planned else None
    session = face.Session(model, plan, planning=None if planned else in_haste())
    session.run(asked())
    session.close()
    with pytest.raises(face.UsageError, match="session is closed"):
        session.run(asked())


def test_a_fork_that_exits_leaves_the_planning_of_its_parent_alone(model):
    program = f"""
import os, sys, chrion
session = chrion.Session({str(model)!r}, inputs={{"input": (1, 20, {FEATURES})}})
if not os.fork():
    sys.exit(0)
os.wait()
assert session.wait({SOON}), session.planning.error
session.close()
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_what_is_no_tensor_is_refused_as_when_it_is_planned(tmp_path):
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("SplitToSequence", ["x"], ["y"])],
        "g",
        [onnx.helper.make_tensor_value_info("x", 1, [3, 4])],
        [onnx.helper.make_tensor_sequence_value_info("y", 1, None)],
    )
    path = tmp_path / "sequence.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8), path)
    with pytest.raises(face.InvalidModel, match="sequence of tensor of float: put it together inside the model"):
        face.Session(path)
