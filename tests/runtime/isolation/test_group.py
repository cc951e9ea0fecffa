"""Models in a process of their own: they answer as here, and what ends their process costs nobody else."""

import errno
import os
import signal
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from chrion_runtime.errors import (
    OutOfMemory,
    PlanRefused,
    ProcessLost,
    Restarting,
    RunError,
    RunStopped,
    SequenceLost,
    UnfitValues,
)
from chrion_runtime.isolation import Group
from chrion_runtime.isolation.group_process import GroupProcess
from chrion_runtime.planned_model import PlannedModel
from chrion_runtime.servable import SequenceStep
from chrion_runtime.stop import Stop
from tests.support.plans import Planned
from tests.support.rounds import BUCKET, FOR_EVER, STATE, rounds
from tests.support.waiting import wait_until

X = np.array([1, 2, 3, 4], np.float32)


def feeds(steps=3, count=0):
    return {"steps": np.array(steps), "x": X, "count": np.array([count])}


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rounds")
    spread = [([0], ("cpu/0",)), ([1], ("cpu/1",))]
    return {
        "a": Planned(rounds(), folder / "a", BUCKET),
        "b": Planned(rounds(), folder / "b", BUCKET, spread),
    }


def openings(planned):
    return [(name, one.opening(name=name, state=STATE)) for name, one in planned.items()]


@pytest.fixture(scope="module")
def shared(planned):
    """One group of both models, for tests that leave it as it is."""
    models = Group("shared").open(openings(planned))
    yield dict(zip(planned, models, strict=True))
    for model in models:
        model.close()


@pytest.fixture
def group(planned):
    """A group of both models that may be hurt, and its models."""
    group = Group("hurt")
    models = group.open(openings(planned))
    yield group, *models
    for model in models:
        model.close()
    assert group.closed


def pid(group):
    return group._life.pid


def under_way(group):
    """Whether its process has been told to run something that has not ended."""
    return bool(group._life._due)


@pytest.mark.parametrize("name", ["a", "b"])
def test_answers_as_in_this_process(shared, planned, name):
    inside = PlannedModel(planned[name].normalised, planned[name].plan_file, name=name, state=STATE)
    try:
        model = shared[name]
        assert (model.inputs, model.outputs, model.state) == (inside.inputs, inside.outputs, inside.state)
        assert (model.concurrency, model.deciding) == (inside.concurrency, inside.deciding)
        assert model.in_use == inside.in_use
        for steps in (0, 1, 5):
            expected = inside.run(feeds(steps))
            found = model.run(feeds(steps))
            assert list(found) == list(expected)
            for output, array in expected.items():
                np.testing.assert_array_equal(found[output], array)
        assert list(model.run(feeds(), ["next"])) == ["next"]
    finally:
        inside.close()


def test_answers_belong_to_the_caller(shared):
    first = shared["a"].run(feeds(count=1))
    kept = {name: array.copy() for name, array in first.items()}
    shared["a"].run(feeds(steps=9, count=5))
    for name, array in kept.items():
        np.testing.assert_array_equal(first[name], array)
        first[name][...] = 0


def test_many_threads_at_once(shared):
    wrong = []

    def ask(model, number):
        counts = range(number, number + 30)
        wrong.extend(count for count in counts if model.run(feeds(count=count))["next"][0] != count + 1)

    threads = [threading.Thread(target=ask, args=(shared["ab"[number % 2]], 100 * number)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_errors_are_those_of_the_model(shared):
    with pytest.raises(RunError, match="missing"):
        shared["a"].run({"x": X})
    with pytest.raises(RunError, match="is float64"):
        shared["a"].run({**feeds(), "x": X.astype(float)})
    with pytest.raises(UnfitValues):
        shared["a"].run({**feeds(), "count": np.zeros((0,), np.int64), "x": X.reshape(2, 2)})
    with pytest.raises(SequenceLost, match="sequence_start"):
        shared["a"].run({"steps": np.array(1), "x": X}, sequence=SequenceStep("nobody"))
    assert shared["a"].run(feeds())["next"] == [1]


def test_state_goes_on_from_request_to_request(shared):
    def step(**options):
        return shared["a"].run({"steps": np.array(1), "x": X}, ["next"], SequenceStep(5, **options))["next"].tolist()

    assert [step(start=True), step(), step(), step(end=True)] == [[1], [2], [3], [4]]
    with pytest.raises(SequenceLost):
        step()


def test_observers_hear_of_each_stage(shared):
    heard = []
    model = shared["b"]
    model.observe(lambda stage, began, seconds: heard.append(stage))
    model.run(feeds(), observer=lambda stage, began, seconds: heard.append(stage))
    assert sorted(stage.index for stage in heard) == [0, 0, 1, 1]
    assert len(set(heard)) == 2, "a stage has one label"


def test_what_it_says_of_itself_follows_the_process(shared):
    model = shared["a"]
    model.run({**feeds(), "x": np.ones(9, np.float32)})
    wait_until(lambda: model.off_profile > 0, "the process reports")
    plan = model.describe_plan()
    assert plan["model"] == "a"
    assert plan["offProfileRequests"] > 0
    assert {figure.name for figure in model.figures()} >= {"chrion_sessions", "chrion_process_restarts"}


def test_a_run_is_stopped(shared):
    stop = Stop()
    timer = threading.Timer(0.2, stop.set)
    timer.start()
    with pytest.raises(RunStopped):
        shared["a"].run(feeds(FOR_EVER), stop=stop)
    early = Stop()
    early.set()
    with pytest.raises(RunStopped):
        shared["a"].run(feeds(FOR_EVER), stop=early)
    assert shared["a"].run(feeds())["next"] == [1]


def test_the_sequences_of_a_scope_are_given_up_in_the_process(group):
    _, a, _ = group
    request = {"steps": np.array(1), "x": X}
    for scope in ("one", "other"):
        a.run(request, sequence=SequenceStep(7, start=True, scope=scope))
    a.forget("one")

    def gone():
        with suppress(SequenceLost):
            a.run(request, sequence=SequenceStep(7, scope="one"))
            return False
        return True

    wait_until(gone, "the process has heard of it")
    a.run(request, sequence=SequenceStep(7, scope="other"))


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGFPE])
def test_a_process_that_ends_is_replaced(group, number):
    group, a, b = group
    a.run({"steps": np.array(1), "x": X}, sequence=SequenceStep(7, start=True))
    failed = []

    def ask():
        try:
            a.run(feeds(FOR_EVER), stop=Stop())
        except (ProcessLost, Restarting) as error:
            failed.append(str(error))

    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(lambda: under_way(group), "it has begun")
    os.kill(pid(group), number)
    asking.join()
    assert number.name in failed[0] or "is restarting" in failed[0]
    wait_until(lambda: not b.ready or group.restarts, "its process is missed")
    wait_until(lambda: a.ready and b.ready, "both are open again")
    assert a.run(feeds())["next"] == [1]
    assert b.run(feeds())["next"] == [1]
    with pytest.raises(SequenceLost):
        a.run({"steps": np.array(1), "x": X}, sequence=SequenceStep(7))
    assert group.restarts == 1


def test_a_run_that_does_not_end_is_ended_with_its_process(group, monkeypatch):
    monkeypatch.setattr("chrion_runtime.isolation.group_process.GRACE_SECONDS", 0.2)
    group, a, b = group
    before = pid(group)
    os.kill(before, signal.SIGSTOP)  # as a node that runs on and on: ONNX Runtime looks between nodes only
    stop = Stop()
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(RunStopped):
        a.run(feeds(), stop=stop)
    wait_until(lambda: group.restarts and a.ready and b.ready, "both are open again")
    assert pid(group) != before
    assert a.run(feeds())["next"] == [1]


def test_a_run_that_is_waited_for_on_the_event_loop_does_not_hold_it_for_long(group, monkeypatch):
    monkeypatch.setattr("chrion_runtime.isolation.model.HERE_SECONDS", 0.2)
    group, a, _ = group
    os.kill(pid(group), signal.SIGSTOP)
    with pytest.raises(ProcessLost):
        a.run(feeds())


def test_a_run_that_is_told_to_end_once_it_has_costs_nothing(group, monkeypatch):
    monkeypatch.setattr("chrion_runtime.isolation.group_process.GRACE_SECONDS", -1.0)
    group, a, _ = group
    stop = Stop()
    for _ in range(2):  # as a batch, whose requests share what ends them
        assert a.run(feeds(), stop=stop)["next"] == [1]
    stop.set()
    assert not group._life.overdue


def test_a_run_that_is_told_to_end_before_it_is_sent_is_not_sent(shared, monkeypatch):
    monkeypatch.setattr(GroupProcess, "stop", lambda life, call: None)  # what is said of it could come too late
    stop = Stop()
    stop.set()
    with pytest.raises(RunStopped):
        shared["a"].run({"steps": np.array(1), "x": X}, sequence=SequenceStep(11, start=True), stop=stop)
    with pytest.raises(SequenceLost):
        shared["a"].run({"steps": np.array(1), "x": X}, sequence=SequenceStep(11))


def test_a_signal_that_has_no_name(group):
    group, a, _ = group
    os.kill(pid(group), signal.SIGRTMIN + 5)
    wait_until(lambda: group.restarts == 1 and a.ready, "it is open again")
    assert a.run(feeds())["next"] == [1]


def test_a_process_that_stands_still_is_replaced(group, monkeypatch):
    group, a, _ = group
    with monkeypatch.context() as impatient:  # with this one, not with the next, which has to start
        impatient.setattr("chrion_runtime.isolation.group.STILL_SECONDS", 1.0)
        os.kill(pid(group), signal.SIGSTOP)
        wait_until(lambda: group.restarts, "it is replaced")
    wait_until(lambda: a.ready, "it is open again")
    assert a.run(feeds())["next"] == [1]


def leave_a_child(told):
    """As a setup: a child that has this process's descriptors, and outlives it."""
    child = os.fork()
    if not child:
        signal.alarm(60)
        signal.pause()
    with Path(told).open("a") as file:
        file.write(f"{child}\n")


def test_what_a_process_leaves_behind_does_not_keep_it(planned, tmp_path):
    children = tmp_path / "children"
    group = Group("family", partial(leave_a_child, str(children)))
    try:
        [a] = group.open(openings(planned)[:1])
        os.kill(pid(group), signal.SIGKILL)
        wait_until(lambda: group.restarts == 1 and a.ready, "it is open again")
        assert a.run(feeds())["next"] == [1]
        a.close()
    finally:
        for child in children.read_text().split():
            os.kill(int(child), signal.SIGKILL)


def test_a_process_that_cannot_be_started_is_tried_again(group, monkeypatch):
    group, a, _ = group
    missing = [1, 2]

    def start():
        if missing:
            missing.pop()
            raise OSError(24, "Too many open files")
        return GroupProcess()

    monkeypatch.setattr("chrion_runtime.isolation.group.GroupProcess", start)
    os.kill(pid(group), signal.SIGKILL)
    wait_until(lambda: group.restarts == 3 and a.ready, "it is open again")
    missing.append(3)
    with pytest.raises(PlanRefused, match=r"it cannot be started: .*Too many open files"):
        Group("none").open([("m", die)])


def close_slowly():
    """As a setup: closing a model never ends."""
    PlannedModel.close = lambda model: threading.Event().wait()


def test_a_model_that_takes_long_to_close_keeps_no_other_from_being_stopped(planned):
    group = Group("slow", close_slowly)
    a, b = group.open(openings(planned))
    before = pid(group)
    a.close()
    stop = Stop()
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(RunStopped):
        b.run(feeds(FOR_EVER), stop=stop)
    assert b.run(feeds())["next"] == [1]
    assert pid(group) == before
    b.close()


def test_a_group_serves_again_after_its_last_model_has_gone(planned):
    group = Group("again")
    for _ in range(2):
        [model] = group.open(openings(planned)[:1])
        assert model.run(feeds())["next"] == [1]
        model.close()
        assert group.closed


def test_models_that_come_as_the_last_one_goes(planned):
    group = Group("crossing")
    [first] = group.open(openings(planned)[:1])
    found = []
    opening = threading.Thread(target=lambda: found.extend(group.open(openings(planned)[1:])))
    closing = threading.Thread(target=first.close)
    for thread in (closing, opening):
        thread.start()
    for thread in (closing, opening):
        thread.join()
    assert found[0].run(feeds())["next"] == [1]
    found[0].close()


def test_models_come_and_go_while_others_serve(planned):
    group = Group("changing")
    [first] = group.open(openings(planned)[:1])
    [second] = group.open(openings(planned)[1:])
    assert second.run(feeds())["next"] == [1]
    second.close()
    assert first.run(feeds())["next"] == [1]
    assert not group.closed
    process = group._life._process
    first.close()
    assert group.closed
    assert process.poll() is not None, "the last one takes the process with it"


def test_one_that_cannot_be_opened_says_why_and_leaves_nothing(planned):
    group = Group("bad")
    other = planned["a"].plan_file.model_copy(update={"model": "0" * 64})
    bad = Planned.opening(planned["a"], name="bad", state=STATE)
    bad.keywords["plan_file"] = other
    with pytest.raises(PlanRefused, match="the plan was made for model 000000000000"):
        group.open([*openings(planned), ("bad", bad)])
    assert group.closed


def die(machine):
    os.kill(os.getpid(), signal.SIGSEGV)


def test_one_whose_process_ends_as_it_is_opened_is_refused():
    group = Group("dying")
    with pytest.raises(PlanRefused, match="SIGSEGV"):
        group.open([("m", die)])
    assert group.closed


def test_what_the_server_has_run_out_of_costs_a_request_and_no_process(group, monkeypatch):
    def no_more(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    group, a, _ = group
    before = pid(group)
    with monkeypatch.context() as patched:
        patched.setattr("chrion_runtime.isolation.group_process.socket.socketpair", no_more)
        with pytest.raises(OutOfMemory, match="nothing left for the request: Too many open files"):
            a.run(feeds())
    assert a.run(feeds())["next"] == [1]
    assert pid(group) == before
