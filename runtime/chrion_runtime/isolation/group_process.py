"""One process of a group, from its start to its end: its channels, and the runs that it owes an end."""

import os
import signal
import socket
import subprocess
import sys
from collections import deque
from contextlib import suppress
from itertools import count
from threading import Lock
from time import monotonic

from chrion_runtime.isolation.channel import Channel
from chrion_runtime.isolation.control import Control

GRACE_SECONDS = 2.0
"""What a run may take to end once it was told to; then its process is."""
HERE_SECONDS = 1.0
"""The same for a run that its caller waits for on the event loop, from its beginning."""
CLOSE_SECONDS = 2.0
"""What a process may take to end once it was told to."""


class GroupProcess:
    """One process of a group, from its start to its end."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            program = (
                # Ctrl-C is for the server, which tells the process to end; also while it imports what it needs.
                "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
                f"from chrion_runtime.isolation.worker import main; main({theirs.fileno()}, {os.getpid()})"
            )
            self._process = subprocess.Popen(  # noqa: S603, our own program
                [sys.executable, "-c", program],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                # The process must import what this one can import, wherever it got it from.
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        self.control = Control(ours)
        self._free: deque[Channel] = deque()
        self._channels: set[Channel] = set()
        """All of them, also those in use."""
        self._calls = count(1)
        self._guard = Lock()
        self._due: dict[int, float] = {}
        """When the runs under way must have ended, by their calls."""

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def begin(self, within: float) -> int:
        """A number for a run that begins and should end within so many seconds; `ended` must be told of it."""
        call = next(self._calls)
        due = monotonic() + within
        with self._guard:
            self._due[call] = due
        return call

    def borrow(self) -> Channel:
        """A channel that nobody uses. Raises OSError where the process is gone."""
        with suppress(IndexError):
            return self._free.pop()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        channel = Channel(ours)
        with theirs:
            with self._guard:
                self._channels.add(channel)
            try:
                self.control.tell("channel", fds=[theirs.fileno()])
            except OSError:
                self.drop(channel)
                raise
        return channel

    def give(self, channel: Channel) -> None:
        """Take a channel back, whose call has ended."""
        self._free.append(channel)

    def drop(self, channel: Channel) -> None:
        """Do without a channel from now on."""
        with self._guard:
            self._channels.discard(channel)
            channel.close()

    def stop(self, call: int) -> None:
        """Have a run end, or else the process; one that has ended by now is left out."""
        with self._guard:
            if call not in self._due:
                return
            self._due[call] = monotonic() + GRACE_SECONDS
        with suppress(OSError):
            self.control.tell("stop", call)

    def forget(self, index: int, scope: str) -> None:
        """Have a model give up the sequences of a scope."""
        with suppress(OSError):
            self.control.tell("forget", index, scope)

    def ended(self, call: int) -> None:
        """A run is over."""
        with self._guard:
            self._due.pop(call, None)

    @property
    def overdue(self) -> bool:
        """Whether there is a run that should have ended."""
        with self._guard:
            return any(due < monotonic() for due in self._due.values())

    @property
    def over(self) -> bool:
        """Whether the process has ended, whoever may still have its end of the line."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """End the process now, and all that is waited for from it: children of it could have its ends of the lines."""
        with suppress(OSError):
            self._process.kill()
        self.control.hang_up()
        with self._guard:
            for channel in self._channels:
                channel.hang_up()

    def outcome(self, seconds: float = 1.0) -> str:
        """How the process ended, once it has."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return "no answer"
        if code >= 0:
            return f"exit code {code}"
        return next((one.name for one in signal.Signals if one == -code), f"signal {-code}")

    def close(self) -> None:
        """End the process, and let go of all that led to it."""
        self.control.hang_up()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(CLOSE_SECONDS)
        self.kill()
        self._process.wait()
        self.control.close()
        while self._free:
            self.drop(self._free.pop())
