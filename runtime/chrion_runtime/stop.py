"""End a run from outside: at its deadline, or when its client has left.

Stopping and finishing exclude each other, so that a request which was answered with an error never leaves a trace, such
as the next state of its sequence.
"""

from collections.abc import Callable
from threading import Lock

from chrion_runtime.errors import RunStopped


class Stop:
    """Ends one run; any thread may use it."""

    __slots__ = ("_actions", "_deferred", "_finished", "_guard", "_set")

    def __init__(self) -> None:
        self._guard = Lock()
        self._actions: list[Callable[[], object]] = []
        self._set = False
        self._finished = False
        self._deferred = False

    @property
    def is_set(self) -> bool:
        """Whether the run is to end."""
        return self._set

    def set(self) -> bool:
        """Have the run end; False where what comes of it must be waited for, since it may have finished already."""
        with self._guard:
            if self._finished:
                return False
            self._set = True
            actions, self._actions = self._actions, []
        for action in actions:
            action()
        return not self._deferred

    def defer(self) -> None:
        """Another process knows whether the run has finished."""
        self._deferred = True

    def finish(self) -> None:
        """Let the run count from now on: it can no longer be stopped. Raises RunStopped where it has been."""
        with self._guard:
            if self._set:
                raise RunStopped
            self._finished = True
            self._actions.clear()

    def check(self) -> None:
        """Raise RunStopped where the run is to end."""
        if self._set:
            raise RunStopped

    def on_set(self, action: Callable[[], object]) -> None:
        """Have `action` called when the run is to end, or at once where it is already."""
        with self._guard:
            if not self._set:
                self._actions.append(action)
                return
        action()
