"""The work queue: each key once at a time, none lost, failures later."""

import threading
import time

from chrion_operator.cluster.queue import WorkQueue


def work_queue(at_once: int = 8) -> WorkQueue[str]:
    """A queue whose groups are the first letters."""
    return WorkQueue(lambda key: key[0], at_once)


def test_a_key_that_is_added_often_is_worked_on_once() -> None:
    queue = work_queue()
    for _ in range(10):
        queue.add("a")
    queue.add("b")
    assert {queue.get(), queue.get()} == {"a", "b"}
    queue.close()
    assert queue.get() is None


def test_a_key_that_is_added_while_worked_on_comes_again_afterwards() -> None:
    queue = work_queue()
    queue.add("a")
    assert queue.get() == "a"
    queue.add("a")
    queue.add("b")
    assert queue.get() == "b"
    queue.done("a")
    assert queue.get() == "a"


def test_sooner_wins_and_later_is_kept() -> None:
    queue = work_queue()
    queue.add("a", 3600)
    queue.add("b", 0.05)
    assert queue.get() == "b"
    queue.add("a")
    assert queue.get() == "a"


def test_failures_are_tried_again() -> None:
    queue = work_queue()
    queue.add("a")
    for _ in range(3):
        assert queue.get() == "a"
        queue.done("a", failed=True)
    assert queue.get() == "a"


def test_many_workers_never_work_on_one_key_at_once_and_lose_none() -> None:
    queue = WorkQueue[int](lambda key: key % 3, at_once=3)
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


def test_groups_take_turns_however_many_keys_one_has() -> None:
    queue = work_queue()
    many = [f"a{number}" for number in range(500)]
    for key in many[:300]:
        queue.add(key)
    queue.add("b")
    queue.add("c")
    for key in many[300:]:
        queue.add(key)
    order = []
    for _ in range(502):
        key = queue.get()
        assert key is not None
        queue.done(key)
        order.append(key)
    assert order[:4] == ["a0", "b", "c", "a1"]
    assert [key for key in order if key in many] == many


def test_a_key_that_comes_while_hundreds_wait_is_next_but_one() -> None:
    queue = work_queue()
    for number in range(500):
        queue.add(f"a{number}")
    for turn in range(20):
        queue.add("b")
        assert "b" in {_worked_on(queue), _worked_on(queue)}, turn


def test_no_group_holds_every_worker() -> None:
    queue = work_queue(at_once=2)
    for key in ("a1", "a2", "a3", "b1"):
        queue.add(key)
    assert {queue.get(), queue.get(), queue.get()} == {"a1", "a2", "b1"}
    found: list[str | None] = []
    worker = threading.Thread(target=lambda: found.append(queue.get()))
    worker.start()
    queue.done("b1")
    assert not found
    queue.done("a1")
    worker.join(60)
    assert found == ["a3"]


def test_what_is_to_come_is_waited_for_while_others_are_busy() -> None:
    queue = work_queue()
    found: list[str | None] = []
    workers = [threading.Thread(target=lambda: found.append(queue.get())) for _ in range(2)]
    for worker in workers:
        worker.start()
    queue.add("a", 0.3)
    queue.add("b")
    for worker in workers:
        worker.join(60)
    assert sorted(map(str, found)) == ["a", "b"]


def _worked_on(queue: WorkQueue[str]) -> str | None:
    key = queue.get()
    assert key is not None
    queue.done(key)
    return key
