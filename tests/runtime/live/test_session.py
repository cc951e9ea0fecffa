"""A session that is live: moves on the real executors, whatever is seen, refused or short of memory."""

import gc
import os
import threading
from contextlib import closing

import numpy as np
import pytest

from chrion_api import SLO, Mode
from chrion_graph.files import write_aside
from chrion_graph.normalise import FILES, WEIGHTS_FILE
from chrion_graph.seal import seal
from chrion_runtime.live import Live, Watch
from chrion_runtime.live.controller import Tuning
from chrion_runtime.live.drift import DriftTuning
from chrion_runtime.planned_model import PlannedModel
from tests.support.partition import normalised

QUICK = Tuning(patience=0.5, rest=0.1, bar=3600)


@pytest.fixture
def live(world, tmp_path):
    """`live(plans, slo, tuning=…)`: a session with these plans; with it, its plan file to write anew."""
    sessions = []

    def make(plan_file, slo=None, mode=Mode.AUTO, model=None, **options):
        path = tmp_path / "plan.json"
        path.write_text(plan_file.to_json())
        options = {"tuning": QUICK, "poll": 0.05, "settle": 0.0, **options}
        session = PlannedModel(
            model or world.normalised, plan_file, slo=slo, mode=mode, live=Live(plan=Watch(path), **options)
        )
        sessions.append(session)
        return session, path

    yield make
    for session in sessions:
        session.close()


def names(session):
    return [selection.plan.name for selection in session.selections]


def moves(session):
    return [(move["from"], move["to"], move["reason"]) for move in reversed(session.describe_plan()["moves"])]


def refusals(session):
    return [(entry["cause"], entry["why"]) for entry in session.describe_plan()["refusals"]]


def slo(latency=None, memory=None):
    given = {"latency": latency, "gpuMemory": memory, "percentile": 90}
    return SLO.parse({name: value for name, value in given.items() if value is not None})


class Answers:
    """Tells a session of answers all the time, each with the seconds that `seconds` says for the plan in use."""

    def __init__(self, session, **seconds):
        self.session, self.seconds = session, seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._tell)

    def _tell(self):
        while not self._stop.wait(0.002):
            (name,) = names(self.session)
            self.session.answered(self.seconds[name])

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


def test_faster_when_the_target_is_missed_and_smaller_when_there_is_room(world, live, until):
    # Expected: 1, 10 and 100 ms.
    session, _ = live(world.file(world.fast, world.middle, world.small), slo("120ms"))
    assert names(session) == ["small"]
    with Answers(session, fast=0.002, middle=0.020, small=0.2) as answers:
        until(lambda: names(session) == ["middle"])  # twice as slow as expected: 20 ms of 120
        answers.seconds.update(small=0.05)
        # What the middle plan takes over its own 10 ms says that small would take 200 ms: it stays.
        until(lambda: session.describe_plan()["observed"]["samples"] > 100)
        assert names(session) == ["middle"]
        answers.seconds.update(middle=0.006)
        until(lambda: names(session) == ["small"])
    assert moves(session) == [("small", "middle", "faster"), ("middle", "small", "smaller")]
    seen = session.describe_plan()["moves"][0]
    assert "small is expected at 60" in seen["why"]
    assert seen["seconds"] == pytest.approx(0.006, rel=0.02)
    assert seen["samples"] >= 30


def test_in_latency_mode_it_stays_at_the_fastest_within_the_memory(world, live, until):
    session, _ = live(world.file(world.fast, world.middle, world.small), slo("120ms", "400Mi"), mode=Mode.LATENCY)
    with Answers(session, middle=0.5):
        until(lambda: session.describe_plan()["observed"]["samples"] > 200)
    assert names(session) == ["middle"]
    assert moves(session) == []
    assert session.describe_plan()["observed"]["sloMet"] is False


def test_without_room_for_two_plans_it_drains_through_one_that_needs_no_gpu(world, live, until):
    other = world.fast.model_copy(update={"name": "other"})
    session, path = live(world.file(world.fast, world.small), slo(memory="900Mi"), mode=Mode.LATENCY)
    assert names(session) == ["fast"]
    path.write_text(world.file(other, world.small).to_json())
    until(lambda: names(session) == ["other"])
    # The same stages are the same sessions: both together take no more weights than one.
    assert moves(session) == [("fast", "other", "plans")]
    heavier = world.middle.model_copy(update={"gpu_bytes": world.fast.gpu_bytes})
    path.write_text(world.file(heavier, world.small).to_json())
    until(lambda: names(session) == ["middle"])
    assert moves(session)[1:] == [("other", "small", "drain"), ("small", "middle", "plans")]
    path.write_text(world.file(world.fast).to_json())
    until(lambda: refusals(session))
    assert names(session) == ["middle"]
    (cause, why), *_ = refusals(session)
    assert cause == "plans"
    assert "no plan of the frontier fits beside both" in why


def test_memory_of_requests_that_still_run_counts(world, live, until):
    heavier = world.middle.model_copy(update={"gpu_bytes": world.fast.gpu_bytes})
    session, path = live(world.file(world.fast, world.small), slo(memory="900Mi"), mode=Mode.LATENCY, freeing=0.2)
    running = session._in_use.buckets[0].executor  # as a request that does not end
    path.write_text(world.file(heavier, world.small).to_json())
    until(lambda: refusals(session))
    assert "requests still run on an earlier plan" in refusals(session)[0][1]
    assert names(session) == ["small"]
    del running
    os.utime(path)
    until(lambda: names(session) == ["middle"])


@pytest.fixture
def uncollected():
    """Python collects no garbage meanwhile, as it collects none of what a server had loaded when it began to answer."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_sessions_of_earlier_plans_are_gone(world, live, until, uncollected):
    session, path = live(world.file(world.spread))
    session.run(world.feeds)
    many = session.describe_plan()["sessions"]
    assert many > 2
    path.write_text(world.file(world.small).to_json())
    until(lambda: names(session) == ["small"])
    until(lambda: session.describe_plan()["sessions"] == 1)
    path.write_text(world.file(world.spread).to_json())
    until(lambda: names(session) == ["spread"])
    until(lambda: session.describe_plan()["sessions"] == many)


def test_a_plan_that_answers_otherwise_is_refused(world, live, until, tmp_path):
    folder = normalised(world.model, tmp_path).folder
    session, file = live(world.file(world.spread), model=type(world.normalised)(folder, world.digest))
    # Under the sessions that are loaded the weights stay; those of the next ones are others, and no damage shows it.
    weights = np.fromfile(folder / WEIGHTS_FILE, np.float32)
    write_aside(folder / WEIGHTS_FILE, (2 * weights).tobytes())
    seal(folder, FILES)
    file.write_text(world.file(world.small).to_json())
    until(lambda: refusals(session))
    assert "answers otherwise than the plan in use" in refusals(session)[0][1]
    assert names(session) == ["spread"]
    until(lambda: session.describe_plan()["sessions"] > 1)


def test_an_answer_in_flight_ends_on_the_plan_it_began_with(world, live, until):
    session, path = live(world.file(world.spread))
    stop, wrong, count = threading.Event(), [], [0]

    def ask():
        while not stop.wait(0.005):
            answer = session.run(world.feeds)
            wrong.extend(name for name, array in world.expected.items() if abs(answer[name] - array).max() > 1e-4)
            count[0] += 1

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for plan in (world.small, world.fast, world.spread):
        before = count[0]
        until(lambda before=before: count[0] > before + 20)
        path.write_text(world.file(plan).to_json())
        until(lambda plan=plan: names(session) == [plan.name])
    stop.set()
    for thread in threads:
        thread.join(60)
    assert not wrong


def test_stages_that_drift_make_the_plan_stale(world, live, until):
    # Said to take a second a stage: far from it.
    session, _ = live(world.file(world.spread), drift=DriftTuning(window_seconds=0.1, in_a_row=2, least_runs=5))
    assert session.describe_plan()["stale"] is None
    until(lambda: session.run(world.feeds) and session.describe_plan()["stale"])
    stale = session.describe_plan()["stale"]
    assert stale["reason"] == "PlanStale"
    assert "all stages together take" in stale["message"]
    assert [figure.value for figure in session.figures() if figure.name == "chrion_plan_stale"] == [1.0]


def test_closing_gives_up_a_move(world, live, until):
    session, path = live(world.file(world.small))
    with closing(session):
        path.write_text(world.file(world.fast).to_json())
        until(lambda: session._pilot._workshop is not None or names(session) == ["fast"])
    assert not session._pilot._thread.is_alive()
    assert refusals(session) == []
