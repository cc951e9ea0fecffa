"""The sequences whose state is kept: each request of one takes its turn; the longest idle one makes room."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from threading import Lock
from time import monotonic

from chrion_runtime.devices.run_memory import LIMIT
from chrion_runtime.errors import SequenceLost, SequencesFull, TooMuchToKeep
from chrion_runtime.run.state_transfer import HeldValue
from chrion_runtime.sequences.budget import STATES, StateBudget
from chrion_runtime.servable import Figure, SequenceKey, SequenceStep

MAX_SEQUENCES = 1024
IDLE_SECONDS = 300.0

REMEMBERED = 4096
"""Sequences that are gone of which it is remembered why."""

State = Mapping[str, HeldValue]
"""A value for each input that takes state."""


class Event(StrEnum):
    """What can happen to a sequence beside being answered; each is counted."""

    EVICTED = "evicted"
    """Its state made room for another's."""
    EXPIRED = "expired"
    """Its state was idle for too long."""
    REFUSED = "refused"
    """A request was for a sequence that has no state here."""
    FULL = "full"
    """A new sequence found every other one in use."""


@dataclass
class _Entry:
    """One sequence: its state, and who uses it or waits to."""

    state: State | None = None
    """None before its first run has ended well."""
    nbytes: int = 0
    """What it counts for in the budget."""
    users: int = 0
    used: float = 0.0
    """When its last run ended."""
    forgotten: bool = False
    """Whether to drop it once no request uses it."""
    lock: Lock = field(default_factory=Lock)


class Turn:
    """One request's time alone with its sequence."""

    def __init__(self, state: State | None, hold: Callable[[int, str], None]) -> None:
        self.hold = hold
        """Has the sequence take so many bytes from now on, which may cost others their state; called with what errors
        call them. Raises TooMuchToKeep, SequencesFull."""
        self.state = state
        """What the request before left; None to start over."""
        self.left: State | None = None
        """What this request leaves, to be set when it has gone well: otherwise all is as it was."""


class SequenceStore:
    """Keeps the state of at most `limit` sequences, each until it was idle for `idle_seconds`, in a budget of bytes.

    Safe to use from any thread. Nothing here knows what a state is.
    """

    def __init__(
        self,
        limit: int = MAX_SEQUENCES,
        idle_seconds: float = IDLE_SECONDS,
        clock: Callable[[], float] = monotonic,
        budget: StateBudget = STATES,
    ) -> None:
        self.limit = limit
        self._budget = budget
        self.idle_seconds = idle_seconds
        self._clock = clock
        self._guard = Lock()
        self._entries: OrderedDict[SequenceKey, _Entry] = OrderedDict()
        """The longest idle first."""
        self._gone: OrderedDict[SequenceKey, str] = OrderedDict()
        """Why sequences that were here are so no more."""
        self._over: OrderedDict[str, None] = OrderedDict()
        """Scopes that were given up, of which a run that was told to end may still come."""
        self.events = dict.fromkeys(Event, 0)
        """How often each has happened."""

    @property
    def active(self) -> int:
        """Sequences whose state is kept now."""
        with self._guard:
            self._expire()
            return len(self._entries)

    @property
    def nbytes(self) -> int:
        """Bytes of all states, in whatever memory they are."""
        with self._guard:
            states = [entry.state for entry in self._entries.values()]
        return sum(held.nbytes for state in states if state for held in state.values())

    def figures(self) -> list[Figure]:
        """Numbers for the metrics."""
        events = "Sequences that were evicted or expired, and requests refused for a sequence"
        return [
            Figure("chrion_sequences", "gauge", "Sequences whose state is kept", {}, self.active),
            Figure("chrion_sequence_bytes", "gauge", "Bytes of their states", {}, self.nbytes),
            *(
                Figure("chrion_sequence_events", "counter", events, {"event": event}, count)
                for event, count in self.events.items()
            ),
        ]

    @contextmanager
    def turn(self, step: SequenceStep) -> Iterator[Turn]:
        """Wait until no other request of the sequence runs, then have it alone inside the block.

        Raises SequenceLost for a sequence that has no state here and is not started, and SequencesFull where there is
        room for no other.
        """
        entry = self._enter(step)
        with entry.lock:
            before = entry.nbytes
            try:
                if entry.state is None and not step.start:
                    # Waited for a request that ended the sequence, or failed to start it.
                    with self._guard:
                        raise self._lost(step.key)
                turn = Turn(None if step.start else entry.state, partial(self._hold, entry))
                yield turn
                if turn.left is not None:
                    entry.state = None if step.end else turn.left
                    before = 0 if step.end else entry.nbytes
            finally:
                if entry.nbytes != before:
                    self._budget.give(self, entry.nbytes - before)
                    entry.nbytes = before
                self._leave(step.key, entry)

    def each(self, change: Callable[[State], State]) -> None:
        """Change the state of every sequence, each between two of its requests."""
        with self._guard:
            entries = list(self._entries.values())
        for entry in entries:
            with entry.lock:
                if entry.state is not None:
                    entry.state = change(entry.state)

    def forget(self, scope: str) -> None:
        """Give up all sequences of a scope, each as soon as none of its requests runs."""
        with self._guard:
            self._over[scope] = None
            if len(self._over) > REMEMBERED:
                self._over.popitem(last=False)
            for key, entry in list(self._entries.items()):
                if isinstance(key, tuple) and key[0] == scope:
                    entry.forgotten = True
                    self._go_if_forgotten(key, entry)

    def _go_if_forgotten(self, key: SequenceKey, entry: _Entry) -> bool:
        if not entry.forgotten or entry.users:
            return False
        del self._entries[key]
        self._budget.give(self, entry.nbytes)
        return True

    def idle_since(self) -> float | None:
        """When the longest idle sequence was used last; None where all are in use."""
        with self._guard:
            return next((entry.used for entry in self._entries.values() if not entry.users), None)

    def give_up_idle(self) -> None:
        """Give up the longest idle sequence, if one still is."""
        with self._guard:
            if (idle := self._longest_idle()) is not None:
                self._drop(idle, "it was idle for the longest time when the memory for states was full", Event.EVICTED)

    def _hold(self, entry: _Entry, nbytes: int, what: str) -> None:
        if nbytes == entry.nbytes:
            return
        limit = self._budget.limit
        if nbytes > limit:
            raise TooMuchToKeep(
                f"{what} takes {nbytes} bytes, and all states may take {limit} together, half of the limit for runs "
                f"{LIMIT}: send less at once, or raise the limit"
            )
        if not self._budget.take(self, nbytes - entry.nbytes):
            with self._guard:
                self.events[Event.FULL] += 1
            raise SequencesFull(
                f"{what} takes {nbytes} bytes, and sequences with a request in flight leave less of the {limit} bytes "
                "for states: try again later"
            )
        entry.nbytes = nbytes

    def _enter(self, step: SequenceStep) -> _Entry:
        with self._guard:
            self._expire()
            entry = self._entries.get(step.key)
            if entry is None:
                if not step.start or step.scope in self._over:
                    raise self._lost(step.key)
                if len(self._entries) >= self.limit:
                    self._make_room()
                entry = self._entries[step.key] = _Entry()
            entry.users += 1
            return entry

    def _leave(self, key: SequenceKey, entry: _Entry) -> None:
        with self._guard:
            entry.users -= 1
            entry.used = self._clock()
            if self._go_if_forgotten(key, entry):
                return
            if entry.state is None and not entry.users:
                del self._entries[key]
                self._remember(key, "it has ended, or its first request failed")
            else:
                self._entries.move_to_end(key)

    def _expire(self) -> None:
        limit = self._clock() - self.idle_seconds
        for key, entry in list(self._entries.items()):
            if not entry.users:
                if entry.used > limit:
                    break
                self._drop(key, f"it was idle for more than {self.idle_seconds:g} seconds", Event.EXPIRED)

    def _make_room(self) -> None:
        idle = self._longest_idle()
        if idle is None:
            self.events[Event.FULL] += 1
            raise SequencesFull(
                f"all {self.limit} sequences that are kept at most have a request in flight: try again later"
            )
        self._drop(idle, f"it was idle for the longest time when more than {self.limit} were started", Event.EVICTED)

    def _longest_idle(self) -> SequenceKey | None:
        return next((key for key, entry in self._entries.items() if not entry.users), None)

    def _drop(self, key: SequenceKey, why: str, event: Event) -> None:
        entry = self._entries.pop(key)
        self._budget.give(self, entry.nbytes)
        self._remember(key, why)
        self.events[event] += 1

    def _remember(self, key: SequenceKey, why: str) -> None:
        self._gone[key] = why
        self._gone.move_to_end(key)
        while len(self._gone) > REMEMBERED:
            self._gone.popitem(last=False)

    def _lost(self, key: SequenceKey) -> SequenceLost:
        self.events[Event.REFUSED] += 1
        elsewhere = "another replica may have it"
        if isinstance(key, tuple):
            _, name = key
            elsewhere = "a stream has its own"
        else:
            name = key
        why = self._gone.get(key, f"it was not started here; {elsewhere}")
        written = f'"{name[:80]}"' if isinstance(name, str) else str(name)
        return SequenceLost(f"sequence {written} has no state here: {why}; start again with sequence_start")
