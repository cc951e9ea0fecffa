"""The parent's side of a worker: starts the child, calls functions there, and says what became of it.

The child is a new Python, or a fork of a server of theirs; it takes one call after another over a pipe, and dies with
its parent.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from chrion_graph.worker.errors import WorkerDied, WorkerKilled, WorkerOutOfMemory, WorkerTimeout
from chrion_graph.worker.fork_server import ForkedProcess, ForkServer
from chrion_graph.worker.pipe import Pipe
from chrion_graph.worker.python import start_python

T = TypeVar("T")


class Worker:
    """One child process; `call` runs a function there and returns its result.

    The child dies with the thread that made it, not only with the process: make it where it is used.
    """

    def __init__(
        self,
        memory_bytes: int | None = None,
        environment: dict[str, str] | None = None,
        ready_for: Callable[..., Any] | None = None,
        server: ForkServer | None = None,
    ) -> None:
        """`memory_bytes` limits the child's address space (not for CUDA, which reserves far more than it uses).

        `ready_for` is what will be called first: the child imports it at once, while others work. A `server` forks the
        child, whose environment and modules are then the server's. Raises WorkerDied where that has ended.
        """
        self._pipe, theirs = Pipe.pair()
        self._process: subprocess.Popen[bytes] | ForkedProcess
        if server is not None:
            self._process = server.fork(theirs, memory_bytes)
        else:
            module = ready_for.__module__ if ready_for else None
            call = f"serve({theirs.fileno()}, {memory_bytes}, {os.getpid()}, {module!r})"
            program = f"from chrion_graph.worker.child import serve; {call}"
            self._process = start_python(program, theirs, environment or {})
        theirs.close()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the child has not ended, be it stopped."""
        return self._process.poll() is None

    def call(
        self,
        function: Callable[..., T],
        *arguments: Any,
        seconds: float,
        what: str,
        report: Callable[[Any], None] | None = None,
    ) -> T:
        """Run `function(*arguments)` in the child; `what` says in errors what was being done.

        With `report`, the function gets one more argument, a callable whose values arrive here while it runs.
        Raises WorkerTimeout after `seconds`, sending and receiving included; the other WorkerErrors; and the function's
        own ChrionErrors. The child lives on after all but the time and its death.
        """
        deadline = time.monotonic() + seconds
        try:
            self._pipe.send((function, arguments, report is not None), seconds)
            while True:
                kind, value = self._pipe.receive(deadline - time.monotonic()).value()
                if kind == "report" and report is not None:
                    report(value)
                elif kind == "result":
                    return value  # type: ignore[no-any-return]
                elif kind == "memory":
                    raise WorkerOutOfMemory(what, value)
                elif kind == "error":
                    raise value
        except TimeoutError:
            # Of the pipe: the child's own errors are ChrionErrors.
            self.kill()
            raise WorkerTimeout(f"{what} did not finish within {seconds:g} s") from None
        except (EOFError, OSError):
            raise self._death(what) from None

    def _death(self, what: str) -> WorkerDied:
        code = self._process.wait() or 0
        if code == -signal.SIGKILL:
            return WorkerKilled(f"{what} was killed")
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return WorkerDied(f"{what} ended the process ({name})")

    def kill(self) -> None:
        """End the child now."""
        self._process.kill()
        self._process.wait()
        self._pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
