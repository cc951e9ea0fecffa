"""Models that share lanes: each gets its part of the time, whatever the others do; a model alone pays nothing."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from chrion_models.families import find
from chrion_models.inputs import random_inputs
from chrion_runtime.devices import open_devices
from chrion_runtime.run.compiled_plan import compile_plan
from chrion_runtime.run.executor import Executor
from chrion_runtime.run.kernels import KernelStore
from chrion_runtime.run.lane_locks import LaneLock, LaneLocks, held
from chrion_runtime.run.lanes import Lanes
from chrion_runtime.run.loaded_plan import LoadedPlan
from tests.support.partition import at_random, each_node, normalised, plan_of, whole
from tests.support.waiting import wait_until


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """`patience(seconds)`: how long a run may have a lane; here as long as it likes, unless the test says otherwise."""

    def set_to(seconds):
        monkeypatch.setattr("chrion_runtime.run.lane_locks.OVERRUN_SECONDS", seconds)

    set_to(1e6)
    return set_to


class Work:
    """Time that passes only while work is done."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def race(users, runs):
    """The order in which users had one lane: each has two requests at it, and takes as long as `users` says for a run.

    A run ends only when all others wait, so that the order is the lane's choice alone.
    """
    clock = Work()
    lock = LaneLock("cpu/0", clock)
    threads = 2 * len(users)
    order, gone = [], []
    ready = threading.Barrier(threads)

    def use(name, seconds):
        ready.wait(60)
        while True:
            lock.take(name)
            if len(order) >= runs:
                gone.append(name)
                lock.give(name)
                return
            wait_until(lambda: lock.waiting + len(gone) == threads - 1)
            order.append(name)
            clock.now += seconds
            lock.give(name)

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


def have(lock, user, clock, seconds):
    lock.take(user)
    clock.now += seconds
    lock.give(user)


def in_line(lock, *users):
    """Threads that wait for the lane in this order, and whom it was given to."""
    served = []

    def use(name):
        lock.take(name)
        served.append(name)
        lock.give(name)

    threads = []
    for name in users:
        threads.append(threading.Thread(target=use, args=(name,)))
        waiting = lock.waiting
        threads[-1].start()
        wait_until(lambda before=waiting: lock.waiting == before + 1)
    return threads, served


def test_who_has_a_lane_for_too_long_keeps_nobody_from_it(patience):
    patience(0.05)
    lock = LaneLock("cpu/0", time.perf_counter)
    assert lock.take("runaway")
    assert not lock.take("other"), "after a while, and beside it"
    assert not any(lock.take("other") for _ in range(100)), "the next ones at once"
    threads, served = in_line(lock, "runaway")
    lock.give("runaway")
    threads[0].join(60)
    assert served == ["runaway"], "its own requests take their turns"
    assert lock.take("other")
    lock.give("other")


def test_who_has_had_a_lane_for_too_long_keeps_nobody_from_it_for_a_while(patience):
    patience(1.0)
    clock = Work()
    lock = LaneLock("cpu/0", clock)
    have(lock, "runaway", clock, 2.0)
    have(lock, "runaway", clock, 0.5)
    lock.take("runaway")
    assert not lock.take("other"), "at once, though it has only begun, and the one before was short"
    lock.give("runaway")
    clock.now += 100.0
    lock.take("runaway")
    threads, served = in_line(lock, "other")
    assert not served, "it is trusted again"
    lock.give("runaway")
    threads[0].join(60)
    assert served == ["other"]


def test_who_waits_goes_on_when_the_lane_comes_to_one_that_had_it_for_too_long(patience):
    patience(1.0)
    clock = Work()
    lock = LaneLock("cpu/0", clock)
    have(lock, "runaway", clock, 2.0)
    for _ in range(3):
        have(lock, "other", clock, 0.9)
    lock.take("third")
    with ThreadPoolExecutor(2) as pool:
        runaway, other = pool.submit(lock.take, "runaway"), pool.submit(lock.take, "other")
        wait_until(lambda: lock.waiting == 2)
        lock.give("third")
        assert runaway.result(60)
        assert not other.result(60)


def test_lanes_that_were_used_beside_another_run_are_not_given_back(patience):
    patience(0.05)
    locks = [LaneLock("cpu/0", time.perf_counter), LaneLock("cpu/1", time.perf_counter)]
    assert locks[0].take("runaway")
    with held(locks, "other"):
        pass
    lock = locks[0]
    lock.give("runaway")
    with held(locks, "other"):
        assert [one.waiting for one in locks] == [0, 0]


def test_nobody_saves_up_while_away():
    clock = Work()
    lock = LaneLock("cpu/0", clock)
    have(lock, "new", clock, 1.0)
    for _ in range(1000):
        have(lock, "old", clock, 1.0)
    # "new" has used the lane for a thousandth of the time; still it gets one run ahead, and not a thousand.
    lock.take("old")
    threads, served = in_line(lock, "old", "new", "new", "old")
    clock.now += 1.0
    lock.give("old")
    for thread in threads:
        thread.join(60)
    assert served[0] == "new"


def test_one_user_goes_in_the_order_of_coming():
    clock = Work()
    lock = LaneLock("cpu/0", clock)
    lock.take("a")
    threads, served = in_line(lock, *(["a"] * 5))
    lock.give("a")
    for thread in threads:
        thread.join(60)
    assert served == ["a"] * 5
    assert lock.waiting == 0


def test_a_run_from_before_a_second_model_came_keeps_its_lane():
    locks = LaneLocks()
    first = Lanes(locks)
    first.open(["cpu/0"], workers=False)
    inside, order = threading.Event(), []
    with first.hold(["cpu/0"]):
        second = Lanes(locks)
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
    assert not locks.shared
    with first.hold(["cpu/0"]):
        pass
    first.close()


def test_models_that_need_one_lane_each_get_one_each():
    locks = LaneLocks()
    models = []
    for _ in range(4):
        lanes = Lanes(locks)
        lanes.alike = ("cpu/0", "cpu/1")
        lanes.open(["cpu/0"], workers=False)
        models.append(lanes)
    with models[0].hold(["cpu/0"]), models[1].hold(["cpu/0"]):
        pass  # both at once: else this would never end
    wide = Lanes(locks)
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
    locks, devices = LaneLocks(), open_devices([], 2)
    wide = (("cpu/0",), ("cpu/1",), ("cpu/0", "cpu/1"))
    cuts = [each_node(gru), at_random(gru, 3, wide), at_random(gru, 5, wide), [(range(len(gru.nodes)), wide[2])]]
    models = []
    for cut in cuts:
        lanes = Lanes(locks)
        lanes.alike = devices["cpu"].lanes
        executor = Executor(LoadedPlan(compile_plan(gru, plan_of(gru, cut)), devices, KernelStore(spin=False)), lanes)
        executor.warm(feeds(0))
        models.append((executor, lanes))
    done = threading.Event()
    greedy = Lanes(locks)
    busy = Executor(LoadedPlan(compile_plan(gru, plan_of(gru, cuts[1])), devices, KernelStore(spin=False)), greedy)

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
