"""Locks of lanes: one holder at a time, and among several models the one that has used the lane least goes first."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

OVERRUN_SECONDS = 0.1
"""A run that has a lane for longer no longer keeps other models from it: they run beside it, sharing the core."""
MISTRUST_SECONDS = 30.0
"""For so long afterwards the same holds for every run of its model, or others would wait again for each that runs away.
So they wait for a three hundredth of the time at most, which their p99 does not show."""


class FairLock:
    """A lock that waiting threads get in turn. Under load one thread could take a plain Lock over and over.

    One thread at a time waits for the lock itself, and all others for that one's place.
    """

    __slots__ = ("_lock", "_next")

    def __init__(self) -> None:
        self._next = Lock()
        self._lock = Lock()

    def acquire(self) -> None:
        """Wait for it."""
        with self._next:
            self._lock.acquire()

    def release(self) -> None:
        """Leave it to the next."""
        self._lock.release()

    def __enter__(self) -> None:
        with self._next:
            self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


@dataclass(eq=False)
class _Waiter:
    user: object
    door: Lock = field(default_factory=Lock)
    """Held until the wait is over."""
    granted: bool = False
    """Whether the lane was handed over; else it is used beside its holder."""


class LaneLock:
    """The lock of one lane among several users, by start-time fair queuing (Goyal, Vin and Cheng, SIGCOMM 1996).

    Each run is charged to its user when it ends, for what it really took. The lane goes to the user who has used it
    for the least time; one who comes back after a while counts as having used as much as the present holder, so that
    no one can save up. The lock is for speed, not for safety: a holder that has it for too long loses it to others.
    """

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self.name = name
        self.alone = FairLock()
        """Held by whoever uses the lane; all there is to it while there is one user."""
        self._clock = clock
        self._guard = Lock()
        self._taken = False
        self._waiting: list[_Waiter] = []
        self._now = 0.0
        """What the present holder had used when it began: the lane's virtual time."""
        self._used: dict[object, float] = {}
        self._holder: object = None
        self._since = 0.0
        self._mistrusted: dict[object, float] = {}
        """Until when users are, that had the lane for too long."""

    @property
    def waiting(self) -> int:
        """Runs that wait for the lane."""
        return len(self._waiting)

    def take(self, user: object) -> bool:
        """Wait for the lane; False where it is to be used beside a run that has it for too long, and not given back."""
        waiter = None
        with self._guard:
            if not self._taken:
                self._taken = True
                self._grant(user)
            elif self._overrun(user):
                return False
            else:
                waiter = _Waiter(user)
                waiter.door.acquire()
                self._waiting.append(waiter)
        while waiter is not None and not waiter.door.acquire(timeout=OVERRUN_SECONDS):
            with self._guard:
                if waiter in self._waiting and self._overrun(user):
                    self._waiting.remove(waiter)
                    return False
        if waiter is not None and not waiter.granted:
            return False
        # Free by now, but for runs that began when their model was the only one.
        self.alone.acquire()
        self._since = self._clock()
        return True

    def give(self, user: object) -> None:
        """Leave the lane to the waiting user who has used it least; among equals, to the one who came first."""
        now = self._clock()
        seconds = now - self._since
        self.alone.release()
        with self._guard:
            self._used[user] = self._now + seconds
            if seconds > OVERRUN_SECONDS:
                self._mistrusted[user] = now + MISTRUST_SECONDS
            if not self._waiting:
                self._taken = False
                return
            chosen = min(self._waiting, key=lambda waiter: self._start(waiter.user))
            self._waiting.remove(chosen)
            self._grant(chosen.user)
            chosen.granted = True
            over = [chosen, *(waiter for waiter in self._waiting if self._overrun(waiter.user))]
            self._waiting = [waiter for waiter in self._waiting if waiter not in over]
            for waiter in over:
                waiter.door.release()

    def forget(self, user: object) -> None:
        """Close the account of a user that is gone."""
        with self._guard:
            self._used.pop(user, None)
            self._mistrusted.pop(user, None)

    def _overrun(self, user: object) -> bool:
        """Whether the lane's holder keeps this user no longer from it."""
        if self._holder is user:
            return False
        now = self._clock()
        return now - self._since > OVERRUN_SECONDS or now < self._mistrusted.get(self._holder, 0.0)

    def _start(self, user: object) -> float:
        return max(self._now, self._used.get(user, 0.0))

    def _grant(self, user: object) -> None:
        self._now = self._start(user)
        self._holder, self._since = user, self._clock()


class LaneLocks:
    """The locks of all lanes of a process, and who shares them."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """`clock` gives seconds; what a lane was used for is told by it."""
        self._clock = clock
        self._guard = Lock()
        self._locks: dict[str, LaneLock] = {}
        self._lanes: dict[object, set[str]] = {}
        """The lanes of each user."""
        self.shared = False
        """Whether there are several users."""

    def join(self, user: object) -> None:
        """One more user of the lanes."""
        with self._guard:
            self._lanes[user] = set()
            self.shared = len(self._lanes) > 1

    def leave(self, user: object) -> None:
        """A user that holds and waits for nothing any more; one that has left already may leave again."""
        with self._guard:
            self._lanes.pop(user, None)
            self.shared = len(self._lanes) > 1
            for lock in self._locks.values():
                lock.forget(user)

    def of(self, name: str, user: object) -> LaneLock:
        """The lock of a lane, which is one of the user's from now on."""
        with self._guard:
            self._lanes[user].add(name)
            return self._locks.setdefault(name, LaneLock(name, self._clock))

    def quietest(self, choices: Sequence[Sequence[str]]) -> int:
        """Which of these sets of lanes the fewest others use, the first of equals."""
        with self._guard:
            crowds = [sum(len(lanes & set(names)) for lanes in self._lanes.values()) for names in choices]
            return crowds.index(min(crowds))


@contextmanager
def held(locks: Sequence[LaneLock], user: object) -> Iterator[None]:
    """Hold all these locks inside the block; taken in the order given, which must be the same for all users."""
    taken: list[LaneLock] = []
    try:
        taken.extend(lock for lock in locks if lock.take(user))
        yield
    finally:
        for lock in reversed(taken):
            lock.give(user)
