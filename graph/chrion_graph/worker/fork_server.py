"""A process that imports once and forks workers: each of them starts within milliseconds, with nothing to import.

Not `multiprocessing`'s server: that runs the user's main module again, and is one for the whole process.
"""

import gc
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from threading import Lock
from typing import Any

from chrion_graph.worker.child import die_with, serve
from chrion_graph.worker.errors import WorkerDied
from chrion_graph.worker.pipe import Pipe
from chrion_graph.worker.python import start_python

_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""Of a process with threads, a fork has one, and locks that the others held."""


class ForkServer:
    """The process; it ends, and its workers with it, with the thread that made it. For any number of threads."""

    def __init__(self, *ready_for: Callable[..., Any]) -> None:
        """`ready_for` are functions that workers will be asked for: their modules are imported, while others work."""
        self._pipe, theirs = Pipe.pair()
        modules = [function.__module__ for function in ready_for]
        program = f"from chrion_graph.worker.fork_server import tend; tend({theirs.fileno()}, {os.getpid()}, {modules})"
        self._process = start_python(program, theirs, _ONE_THREAD)
        theirs.close()
        self._guard = Lock()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def fork(self, end: Pipe, memory_bytes: int | None) -> "ForkedProcess":
        """A process that answers calls on this end of a pipe, in this much address space. Raises WorkerDied."""
        return ForkedProcess(self, self.ask("fork", memory_bytes, end))

    def ask(self, what: str, value: int | None, end: Pipe | None = None) -> Any:
        """What the server answers. Raises WorkerDied where it has gone."""
        with self._guard:
            try:
                self._pipe.send((what, value))
                if end is not None:
                    self._pipe.send_pipe(end)
                return self._pipe.receive().value()
            except (EOFError, OSError):  # OSError: it was closed on this side
                raise WorkerDied("the process that starts workers has ended") from None

    def close(self) -> None:
        """End it, and all its workers."""
        self._process.kill()
        self._process.wait()
        self._pipe.close()


class ForkedProcess:
    """A child of the server, with those methods of `subprocess.Popen` that a worker needs."""

    def __init__(self, server: ForkServer, pid: int) -> None:
        self._server = server
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._look("poll")

    def wait(self) -> int | None:
        """Its exit code, once it has ended."""
        return self._look("wait")

    def kill(self) -> None:
        """End it now. Until the server has waited for it, its number is no other's."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def _look(self, how: str) -> int | None:
        if self.returncode is None:
            try:
                self.returncode = self._server.ask(how, self.pid)
            except WorkerDied:  # its children are killed with the server
                self.returncode = -signal.SIGKILL
        return self.returncode


def tend(fd: int, parent: int, modules: list[str]) -> None:
    """Fork workers for the process `parent`, which asks on the pipe `fd`, until it hangs up."""
    if not die_with(parent):
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    for module in modules:
        with suppress(Exception):  # which the call will run into
            import_module(module)
    gc.freeze()  # keep the collector from writing to memory that forks share with this process
    pipe = Pipe.of(fd)
    while True:
        try:
            what, value = pipe.receive().value()
            pipe.send(_forked(pipe, value) if what == "fork" else _exit_code(value, what))
        except (EOFError, OSError):
            return


def _forked(pipe: Pipe, memory_bytes: int | None) -> int:
    end = pipe.receive_fd()
    server = os.getpid()
    pid = os.fork()
    if pid:
        os.close(end)
        return pid
    code = 1
    try:
        pipe.close()
        serve(end, memory_bytes, server, None)
        code = 0
    finally:
        os._exit(code)


def _exit_code(pid: int, how: str) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG if how == "poll" else 0)
    return os.waitstatus_to_exitcode(status) if ended else None
