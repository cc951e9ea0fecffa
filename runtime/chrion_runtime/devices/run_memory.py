"""What all runs of this process may take of the host's memory together: one limit, and what they leave given back.

ONNX Runtime's kernels on the CPU take what they need from an arena: weights as they pack them, inner values, and
outputs for as long as anyone holds them, so also the states that sequences keep. Of an engine without one, weights
count, and inner values and outputs do not; nor does the text of strings. What goes over the limit fails, and nothing
else does.
"""

import threading
import weakref
from time import monotonic
from typing import Protocol

from chrion_graph.limits import free_bytes
from chrion_runtime.errors import OutOfMemory, OverMemory, PlanRefused, RunError, RuntimeFailure

LIMIT = "(--run-memory, spec.limits.runMemory)"
"""Where the limit is set, for errors."""

SPARE = 64 << 20
"""Bytes that the arenas may keep beyond what is usual: to give back less is not worth the work."""
TIMES_USUAL = 2
"""They may keep so many times what was taken once models were loaded: more runs at once and longer ones are usual."""
PAUSE, LONGEST_PAUSE = 1.0, 300.0
"""Seconds from one look at the arenas to the next. It doubles while each look finds them large: then large is usual."""

STATES_PART = 2
"""The states that sequences keep may take half of the limit together, so that there is something left to run with."""
ANSWERS_PART = 4
"""Answers on their way may take a quarter as much as runs."""


class Arena(Protocol):
    """Where an engine's kernels take host memory from. It takes no more than the limit that it is opened with."""

    def taken(self) -> int:
        """Bytes that it holds now; some of them may be free for the next run."""

    def trim(self) -> None:
        """Give back what is free in it. Runs that follow take it again, which costs them page faults."""


class RunMemory:
    """The limit, and the arenas that it holds for. There is one a process, `RUN_MEMORY`."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._limit: int | None = None
        self._arenas: list[Arena] = []
        self._kernels: dict[object, int] = {}
        """Bytes of kernels outside of arenas, by a token each."""
        self.usual = 0
        """Bytes that were taken once the models had been loaded."""
        self._next_look = 0.0
        self._pause = PAUSE

    @property
    def limit(self) -> int:
        """Bytes for all runs together: what was set, or three quarters of what the process could still take when
        it was first asked for, which is what planning allows a model too."""
        with self._guard:
            if self._limit is None:
                self._limit = max(1, free_bytes() * 3 // 4)
            return self._limit

    def hold_to(self, limit: int) -> None:
        """Set the limit, in bytes. Raises RuntimeFailure once there is an arena, for then it is too late."""
        with self._guard:
            if self._arenas and limit != self._limit:
                raise RuntimeFailure("set the memory limit of runs before the first model of the process is loaded")
            self._limit = limit

    def add(self, arena: Arena) -> None:
        """An engine has opened its arena."""
        with self._guard:
            self._arenas.append(arena)

    def check_room(self, nbytes: int) -> None:
        """Raises PlanRefused where a kernel that is to be loaded, and takes so much outside of arenas, does not fit."""
        if nbytes and self.taken() + nbytes > self.limit:
            raise no_room_for_weights(self.limit)

    def charge(self, kernel: object, nbytes: int) -> None:
        """Count what a kernel takes outside of arenas for as long as it lives."""
        if nbytes:
            token = object()
            self._kernels[token] = nbytes
            weakref.finalize(kernel, self._kernels.pop, token)

    def taken(self) -> int:
        """Bytes that arenas, and kernels outside of them, hold now."""
        return sum(arena.taken() for arena in self._arenas) + sum(list(self._kernels.values()))

    def trim(self) -> int:
        """Give back what is free in the arenas; the bytes of them that are still held.

        Runs that follow take it again, which costs them page faults.
        """
        for arena in self._arenas:
            arena.trim()
        return self.taken()

    def settle(self) -> None:
        """Called when a model has run for the first time: what is held now is usual."""
        self.usual = max(self.usual, self.taken())

    def tend(self) -> None:
        """Give back what unusual runs have left. To be called often; most calls return at once."""
        now = monotonic()
        if now < self._next_look:
            return
        self._next_look = now + self._pause
        if self.taken() <= SPARE + TIMES_USUAL * self.usual:
            self._pause = PAUSE
            return
        self.trim()
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def no_room(self, asked: int = 0) -> RunError:
        """What to tell of a run that found no room, where it asked for so many bytes at once, or for how many nobody
        knows."""
        if asked > self.limit:
            return OverMemory(
                f"the run needs {asked} bytes at once, and all runs may use {self.limit} together {LIMIT}: send "
                "smaller inputs or values that need less, or raise the limit"
            )
        found = OutOfMemory(
            f"there is no CPU memory left for this request: all runs and what they keep may use {self.limit} bytes "
            f"together {LIMIT}: try again later, send smaller inputs, or raise the limit"
        )
        found.on_host = True
        return found

    def after_trimming(self, error: OutOfMemory) -> RunError:
        """What to tell of a run that failed though all memory that nobody held was given back first."""
        if not error.on_host or self.trim() > self.usual:
            return error
        return OverMemory(
            f"the run alone needs more memory than the {self.limit} bytes that all runs may use {LIMIT}: "
            "send smaller inputs or values that need less, or raise the limit"
        )


def no_room_for_weights(limit: int) -> PlanRefused:
    """What to tell of a stage that cannot be loaded."""
    return PlanRefused(
        f"the weights of a stage do not fit in the {limit} bytes that all runs may use, weights included: raise "
        f"the limit {LIMIT}"
    )


RUN_MEMORY = RunMemory()
"""This process's."""
