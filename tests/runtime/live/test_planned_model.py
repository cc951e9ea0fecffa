"""A planned model that is live: it moves on the real executors, whatever is seen, refused or short of memory."""

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
from chrion_runtime.planned_model import Hosting, PlannedModel
from tests.support.partition import normalised

QUICK = Tuning(patience=0.5, rest=0.1, bar=3600)


@pytest.fixture
def live(world, tmp_path):
    """`live(plans, slo, tuning=…)`: a model with these plans; with it, its plan file to write again."""
    models = []

    def make(plan_file, slo=None, mode=Mode.AUTO, model=None, **options):
        path = tmp_path / "plan.json"
        path.write_text(plan_file.to_json())
        options = {"tuning": QUICK, "poll": 0.05, "settle": 0.0, **options}
        planned = PlannedModel(
            model or world.normalised,
            plan_file,
            slo=slo,
            mode=mode,
            hosting=Hosting(live=Live(plan=Watch(path), **options)),
        )
        models.append(planned)
        return planned, path

    yield make
    for planned in models:
        planned.close()


def names(planned):
    return [selection.plan.name for selection in planned.selections]


def moves(planned):
    return [(move["from"], move["to"], move["reason"]) for move in reversed(planned.describe_plan()["moves"])]


def refusals(planned):
    return [(entry["cause"], entry["why"]) for entry in planned.describe_plan()["refusals"]]


def slo(latency=None, memory=None):
    given = {"latency": latency, "gpuMemory": memory, "percentile": 90}
    return SLO.parse({name: value for name, value in given.items() if value is not None})


class Answers:
    """Tells a model of answers all the time, each with the seconds that `seconds` says for the plan in use."""

    def __init__(self, planned, **seconds):
        self.planned, self.seconds = planned, seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._tell)

    def _tell(self):
        while not self._stop.wait(0.002):
            (name,) = names(self.planned)
            self.planned.answered(self.seconds[name])

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


def test_faster_when_the_target_is_missed_and_smaller_when_there_is_room(world, live, until):
    # Expected: 1, 10 and 100 ms.
    planned, _ = live(world.file(world.fast, world.middle, world.small), slo("120ms"))
    assert names(planned) == ["small"]
    with Answers(planned, fast=0.002, middle=0.020, small=0.2) as answers:
        until(lambda: names(planned) == ["middle"])  # twice as slow as expected: 20 ms of 120
        answers.seconds.update(small=0.05)
        # What the middle plan takes over its own 10 ms says that small would take 200 ms: it stays.
        until(lambda: planned.describe_plan()["observed"]["samples"] > 100)
        assert names(planned) == ["middle"]
        answers.seconds.update(middle=0.006)
        until(lambda: names(planned) == ["small"])
    until(lambda: moves(planned) == [("small", "middle", "faster"), ("middle", "small", "smaller")])
    seen = planned.describe_plan()["moves"][0]
    assert "small is expected at 60" in seen["why"]
    assert seen["seconds"] == pytest.approx(0.006, rel=0.02)
    assert seen["samples"] >= 30


def test_in_latency_mode_it_stays_at_the_fastest_within_the_memory(world, live, until):
    planned, _ = live(world.file(world.fast, world.middle, world.small), slo("120ms", "400Mi"), mode=Mode.LATENCY)
    with Answers(planned, middle=0.5):
        until(lambda: planned.describe_plan()["observed"]["samples"] > 200)
    assert names(planned) == ["middle"]
    assert moves(planned) == []
    assert planned.describe_plan()["observed"]["sloMet"] is False


def test_without_room_for_two_plans_it_drains_through_one_that_needs_no_gpu(world, live, until):
    other = world.fast.model_copy(update={"name": "other"})
    planned, path = live(world.file(world.fast, world.small), slo(memory="900Mi"), mode=Mode.LATENCY)
    assert names(planned) == ["fast"]
    path.write_text(world.file(other, world.small).to_json())
    until(lambda: names(planned) == ["other"])
    # The same stages are the same models: both together take no more weights than one.
    until(lambda: moves(planned) == [("fast", "other", "plans")])
    heavier = world.middle.model_copy(update={"gpu_bytes": world.fast.gpu_bytes})
    path.write_text(world.file(heavier, world.small).to_json())
    until(lambda: names(planned) == ["middle"])
    until(lambda: moves(planned)[1:] == [("other", "small", "drain"), ("small", "middle", "plans")])
    path.write_text(world.file(world.fast).to_json())
    until(lambda: refusals(planned))
    assert names(planned) == ["middle"]
    (cause, why), *_ = refusals(planned)
    assert cause == "plans"
    assert "there is no smaller plan to go through" in why


def test_memory_of_requests_that_still_run_counts(world, live, until):
    heavier = world.middle.model_copy(update={"gpu_bytes": world.fast.gpu_bytes})
    planned, path = live(world.file(world.fast, world.small), slo(memory="900Mi"), mode=Mode.LATENCY, freeing=0.2)
    running = planned._in_use.buckets[0].executor  # as a request that does not end
    path.write_text(world.file(heavier, world.small).to_json())
    until(lambda: refusals(planned))
    assert "requests are still running on an earlier plan" in refusals(planned)[0][1]
    assert names(planned) == ["small"]
    del running
    os.utime(path)
    until(lambda: names(planned) == ["middle"])


@pytest.fixture
def uncollected():
    """Python collects no garbage meanwhile, as it collects none of what a server had loaded when it began to answer."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_sessions_of_earlier_plans_are_gone(world, live, until, uncollected):
    planned, path = live(world.file(world.spread))
    planned.run(world.feeds)
    many = planned.describe_plan()["sessions"]
    assert many > 2
    path.write_text(world.file(world.small).to_json())
    until(lambda: names(planned) == ["small"])
    until(lambda: planned.describe_plan()["sessions"] == 1)
    path.write_text(world.file(world.spread).to_json())
    until(lambda: names(planned) == ["spread"])
    until(lambda: planned.describe_plan()["sessions"] == many)


def test_a_plan_that_answers_otherwise_is_refused(world, live, until, tmp_path):
    folder = normalised(world.model, tmp_path).folder
    planned, file = live(world.file(world.spread), model=type(world.normalised)(folder, world.digest))
    # Under the models that are loaded the weights stay; those of the next ones are others, and no damage shows it.
    weights = np.fromfile(folder / WEIGHTS_FILE, np.float32)
    write_aside(folder / WEIGHTS_FILE, (2 * weights).tobytes())
    seal(folder, FILES)
    file.write_text(world.file(world.small).to_json())
    until(lambda: refusals(planned))
    assert "answers differently from the plan in use" in refusals(planned)[0][1]
    assert names(planned) == ["spread"]
    until(lambda: planned.describe_plan()["sessions"] > 1)


def test_an_answer_in_flight_ends_on_the_plan_it_began_with(world, live, until):
    planned, path = live(world.file(world.spread))
    stop, wrong, count = threading.Event(), [], [0]

    def ask():
        while not stop.wait(0.005):
            answer = planned.run(world.feeds)
            wrong.extend(name for name, array in world.expected.items() if abs(answer[name] - array).max() > 1e-4)
            count[0] += 1

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for plan in (world.small, world.fast, world.spread):
        before = count[0]
        until(lambda before=before: count[0] > before + 20)
        path.write_text(world.file(plan).to_json())
        until(lambda plan=plan: names(planned) == [plan.name])
    stop.set()
    for thread in threads:
        thread.join(60)
    assert not wrong


def test_stages_that_drift_make_the_plan_stale(world, live, until):
    # Said to take a second a stage: far from it.
    planned, _ = live(world.file(world.spread), drift=DriftTuning(window_seconds=0.1, in_a_row=2, least_runs=5))
    assert planned.describe_plan()["stale"] is None
    until(lambda: planned.run(world.feeds) and planned.describe_plan()["stale"])
    stale = planned.describe_plan()["stale"]
    assert stale["reason"] == "PlanStale"
    assert "all stages together take" in stale["message"]
    assert [figure.value for figure in planned.figures() if figure.name == "chrion_plan_stale"] == [1.0]


def test_closing_gives_up_a_move(world, live, until):
    planned, path = live(world.file(world.small))
    with closing(planned):
        path.write_text(world.file(world.fast).to_json())
        until(lambda: planned._pilot._workshop is not None or names(planned) == ["fast"])
    assert not planned._pilot._thread.is_alive()
    assert refusals(planned) == []
