"""Models that share lanes: each gets its part of the time, whatever the others do; a model alone pays nothing."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from chrion_models.families import find
from chrion_models.inputs import random_inputs
from chrion_runtime.blueprint import draw
from chrion_runtime.devices import open_devices
from chrion_runtime.executor import Executor
from chrion_runtime.lanes import Lanes
from chrion_runtime.program import Program
from chrion_runtime.rights import Right, Rights, held
from chrion_runtime.sessions import SessionStore
from tests.support.partition import at_random, each_node, normalised, plan_of, whole


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """`patience(seconds)`: how long a run may have a lane; here as long as it likes, unless the test says otherwise."""

    def set_to(seconds):
        monkeypatch.setattr("chrion_runtime.rights.OVERRUN_SECONDS", seconds)

    set_to(1e6)
    return set_to


class Work:
    """Time that passes only while work is done."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def wait_for(condition):
    """Wait until `condition` holds; the test's own timeout bounds it."""
    pause = threading.Event()
    while not condition():
        pause.wait(0.001)


def race(users, runs):
    """The order in which users had one lane: each has two requests at it, and takes as long as `users` says for a run.

    A run ends only when all others wait, so that the order is the lane's choice alone.
    """
    clock = Work()
    right = Right("cpu/0", clock)
    threads = 2 * len(users)
    order, gone = [], []
    ready = threading.Barrier(threads)

    def use(name, seconds):
        ready.wait(60)
        while True:
            right.take(name)
            if len(order) >= runs:
                gone.append(name)
                right.give(name)
                return
            wait_for(lambda: right.waiting + len(gone) == threads - 1)
            order.append(name)
            clock.now += seconds
            right.give(name)

    with ThreadPoolExecutor(threads) as pool:
        for one in [pool.submit(use, name, seconds) for name, seconds in users.items() for _ in range(2)]:
            one.result(60)
    return order


def test_users_of_equal_runs_are_never_more_than_one_apart():
    order = race({"a": 1.0, "b": 1.0}, 20)
    assert all(abs(2 * order[:end].count("a") - end) <= 1 for end in range(20))


def test_long_runs_do_not_starve_short_ones():
    order = race({"long": 10.0, "short": 1.0}, 110)
    assert order.count("long") == pytest.approx(10, abs=1)
    between = [len(part) for part in "".join(name[0] for name in order).split("l")[1:-1]]
    assert set(between) <= {9, 10, 11}, "ten short runs for each long one, evenly"


def test_time_is_shared_among_three():
    order = race({"a": 1.0, "b": 2.0, "c": 4.0}, 70)
    assert {name: order.count(name) for name in "abc"} == pytest.approx({"a": 40, "b": 20, "c": 10}, abs=1)


def have(right, user, clock, seconds):
    right.take(user)
    clock.now += seconds
    right.give(user)


def in_line(right, *users):
    """Threads that wait for the lane in this order, and whom it was given to."""
    served = []

    def use(name):
        right.take(name)
        served.append(name)
        right.give(name)

    threads = []
    for name in users:
        threads.append(threading.Thread(target=use, args=(name,)))
        waiting = right.waiting
        threads[-1].start()
        wait_for(lambda before=waiting: right.waiting == before + 1)
    return threads, served


def test_who_has_a_lane_for_too_long_keeps_nobody_from_it(patience):
    patience(0.05)
    right = Right("cpu/0", time.perf_counter)
    assert right.take("runaway")
    assert not right.take("other"), "after a while, and beside it"
    assert not any(right.take("other") for _ in range(100)), "the next ones at once"
    threads, served = in_line(right, "runaway")
    right.give("runaway")
    threads[0].join(60)
    assert served == ["runaway"], "its own requests take their turns"
    assert right.take("other")
    right.give("other")


def test_who_has_had_a_lane_for_too_long_keeps_nobody_from_it_for_a_while(patience):
    patience(1.0)
    clock = Work()
    right = Right("cpu/0", clock)
    have(right, "runaway", clock, 2.0)
    have(right, "runaway", clock, 0.5)
    right.take("runaway")
    assert not right.take("other"), "at once, though it has only begun, and the one before was short"
    right.give("runaway")
    clock.now += 100.0
    right.take("runaway")
    threads, served = in_line(right, "other")
    assert not served, "it is trusted again"
    right.give("runaway")
    threads[0].join(60)
    assert served == ["other"]


def test_who_waits_goes_on_when_the_lane_comes_to_one_that_had_it_for_too_long(patience):
    patience(1.0)
    clock = Work()
    right = Right("cpu/0", clock)
    have(right, "runaway", clock, 2.0)
    for _ in range(3):
        have(right, "other", clock, 0.9)
    right.take("third")
    with ThreadPoolExecutor(2) as pool:
        runaway, other = pool.submit(right.take, "runaway"), pool.submit(right.take, "other")
        wait_for(lambda: right.waiting == 2)
        right.give("third")
        assert runaway.result(60)
        assert not other.result(60)


def test_lanes_that_were_used_beside_another_run_are_not_given_back(patience):
    patience(0.05)
    rights = [Right("cpu/0", time.perf_counter), Right("cpu/1", time.perf_counter)]
    assert rights[0].take("runaway")
    with held(rights, "other"):
        pass
    right = rights[0]
    right.give("runaway")
    with held(rights, "other"):
        assert [one.waiting for one in rights] == [0, 0]


def test_nobody_saves_up_while_away():
    clock = Work()
    right = Right("cpu/0", clock)
    have(right, "new", clock, 1.0)
    for _ in range(1000):
        have(right, "old", clock, 1.0)
    # "new" has used the lane for a thousandth of the time; still it gets one run ahead, and not a thousand.
    right.take("old")
    threads, served = in_line(right, "old", "new", "new", "old")
    clock.now += 1.0
    right.give("old")
    for thread in threads:
        thread.join(60)
    assert served[0] == "new"


def test_one_user_goes_in_the_order_of_coming():
    clock = Work()
    right = Right("cpu/0", clock)
    right.take("a")
    threads, served = in_line(right, *(["a"] * 5))
    right.give("a")
    for thread in threads:
        thread.join(60)
    assert served == ["a"] * 5
    assert right.waiting == 0


def test_a_run_from_before_a_second_model_came_keeps_its_lane():
    rights = Rights()
    first = Lanes(rights)
    first.open(["cpu/0"], workers=False)
    inside, order = threading.Event(), []
    with first.hold(["cpu/0"]):
        second = Lanes(rights)
        second.open(["cpu/0"], workers=False)

        def use():
            inside.set()
            with second.hold(["cpu/0"]):
                order.append("second")

        thread = threading.Thread(target=use)
        thread.start()
        assert inside.wait(60)
        order.append("first")
    thread.join(60)
    assert order == ["first", "second"]
    second.close()
    assert not rights.shared
    with first.hold(["cpu/0"]):
        pass
    first.close()


def test_models_that_need_one_lane_each_get_one_each():
    rights = Rights()
    models = []
    for _ in range(4):
        lanes = Lanes(rights)
        lanes.alike = ("cpu/0", "cpu/1")
        lanes.open(["cpu/0"], workers=False)
        models.append(lanes)
    with models[0].hold(["cpu/0"]), models[1].hold(["cpu/0"]):
        pass  # both at once: else this would never end
    wide = Lanes(rights)
    wide.alike = ("cpu/0", "cpu/1")
    wide.open(["cpu/0", "cpu/1"], workers=False)
    with wide.hold(["cpu/0", "cpu/1"]):
        pass
    for lanes in (*models, wide):
        lanes.close()
        lanes.close()


CASE = "gru-bidirectional-l2-h16-s8-b2"


@pytest.fixture(scope="module")
def gru(tmp_path_factory):
    return normalised(find(CASE).build(), tmp_path_factory.mktemp("gru"))


def feeds(seed):
    return random_inputs(find(CASE).build(), {"input": (8, 2, 16)}, seed=seed)


def test_several_models_answer_rightly_and_end_while_another_never_rests(gru):
    """Single and wide stages, over shared lanes, with one model that is always at it until the others are done."""
    rights, devices = Rights(), open_devices([], 2)
    wide = (("cpu/0",), ("cpu/1",), ("cpu/0", "cpu/1"))
    cuts = [each_node(gru), at_random(gru, 3, wide), at_random(gru, 5, wide), [(range(len(gru.nodes)), wide[2])]]
    models = []
    for cut in cuts:
        lanes = Lanes(rights)
        lanes.alike = devices["cpu"].lanes
        executor = Executor(Program(draw(gru, plan_of(gru, cut)), devices, SessionStore(spin=False)), lanes)
        executor.warm(feeds(0))
        models.append((executor, lanes))
    done = threading.Event()
    greedy = Lanes(rights)
    busy = Executor(Program(draw(gru, plan_of(gru, cuts[1])), devices, SessionStore(spin=False)), greedy)

    def never_rest():
        while not done.is_set():
            busy.run(feeds(1))

    with ThreadPoolExecutor(10) as pool:
        at_it = [pool.submit(never_rest) for _ in range(2)]
        requests = [feeds(seed) for seed in range(40)]
        answers = list(pool.map(lambda n: models[n % 4][0].run(requests[n]), range(40), timeout=120))
        done.set()
        for one in at_it:
            one.result(60)
    for _, lanes in (*models, (busy, greedy)):
        lanes.close()
    for request, answer in zip(requests, answers, strict=True):
        np.testing.assert_allclose(answer["output"], whole(gru, request)["output"], rtol=1e-5, atol=1e-6)
