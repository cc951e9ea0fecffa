"""FairLock: threads that wait for it get it in turn."""

import threading
import time

from chrion_runtime.run.lane_locks import FairLock
from tests.support.waiting import wait_until


def test_who_leaves_it_does_not_have_it_again_before_one_who_waits() -> None:
    lock = FairLock()
    had: list[str] = []

    def wait() -> None:
        with lock:
            had.append("the one who waited")

    for _ in range(20):
        lock.acquire()
        waiter = threading.Thread(target=wait)
        waiter.start()
        wait_until(lock._next.locked, "it waits")
        lock.release()
        with lock:
            had.append("the one who left")
        waiter.join()
    assert had == ["the one who waited", "the one who left"] * 20


def test_one_has_it_at_a_time() -> None:
    lock = FairLock()
    inside = 0
    most = 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(200):
            with lock:
                inside += 1
                most = max(most, inside)
                time.sleep(0)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
