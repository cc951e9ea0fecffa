"""The work queue: each key once at a time, none lost, failures later."""

import threading
import time

from chrion_operator.cluster.queue import WorkQueue


def test_a_key_that_is_added_often_is_worked_on_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for _ in range(10):
        queue.add("a")
    queue.add("b")
    assert {queue.get(), queue.get()} == {"a", "b"}
    queue.close()
    assert queue.get() is None


def test_a_key_that_is_added_while_worked_on_comes_again_afterwards() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    assert queue.get() == "a"
    queue.add("a")
    queue.add("b")
    assert queue.get() == "b"
    queue.done("a")
    assert queue.get() == "a"


def test_sooner_wins_and_later_is_kept() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a", 3600)
    queue.add("b", 0.05)
    assert queue.get() == "b"
    queue.add("a")
    assert queue.get() == "a"


def test_failures_are_tried_again() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    for _ in range(3):
        assert queue.get() == "a"
        queue.done("a", failed=True)
    assert queue.get() == "a"


def test_many_workers_never_work_on_one_key_at_once_and_lose_none() -> None:
    queue: WorkQueue[int] = WorkQueue()
    busy: set[int] = set()
    worked = dict.fromkeys(range(20), 0)
    clashes: list[int] = []
    lock = threading.Lock()

    def work() -> None:
        while (key := queue.get()) is not None:
            with lock:
                if key in busy:
                    clashes.append(key)
                busy.add(key)
            time.sleep(0.001)
            with lock:
                busy.discard(key)
                worked[key] += 1
            queue.done(key)

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for round_ in range(20):
        for key in worked:
            queue.add(key, after=0.001 * (round_ % 3))
    ends = time.monotonic() + 30
    while not all(worked.values()) and time.monotonic() < ends:
        time.sleep(0.01)
    queue.close()
    for worker in workers:
        worker.join()
    assert not clashes
    assert all(worked.values())
