"""A Python process of its own for work that must not hurt this one: it may crash, hang or eat memory.

It is started by path (not by `multiprocessing`, which would run the user's main module again), takes one call
after another over a pipe, and dies with its parent.
"""

import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from types import TracebackType
from typing import Any, Self, TypeVar

from chrion_api import ChrionError
from chrion_graph.errors import InvalidModel, LimitExceeded
from chrion_graph.pipe import Message, Pipe

T = TypeVar("T")
Report = Callable[[Any], None]


class WorkerFailed(ChrionError):
    """The function raised something that is no ChrionError: a defect of ours or of a library."""


class Worker:
    """One child process; `call` runs a function there and returns its result.

    The child dies with the thread that made it, not only with the process: make it where it is used.
    """

    def __init__(
        self,
        memory_bytes: int | None = None,
        environment: dict[str, str] | None = None,
        ready_for: Callable[..., Any] | None = None,
    ) -> None:
        """`memory_bytes` limits the child's address space (not for CUDA, which reserves far more than it uses).

        `ready_for` is what will be called first: the child imports it at once, while others work.
        """
        self._pipe, theirs = Pipe.pair()
        fd = theirs.fileno()
        module = ready_for.__module__ if ready_for else None
        program = f"from chrion_graph.worker import _serve; _serve({fd}, {memory_bytes}, {os.getpid()}, {module!r})"
        self._process = subprocess.Popen(  # noqa: S603, our own program
            [sys.executable, "-c", program],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[fd],
            # The child must import what this process can import, wherever it got it from.
            env={**os.environ, **(environment or {}), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        theirs.close()
        self._memory_bytes = memory_bytes

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the child has not ended, be it stopped."""
        return self._process.poll() is None

    def call(
        self, function: Callable[..., T], *arguments: Any, seconds: float, what: str, report: Report | None = None
    ) -> T:
        """Run `function(*arguments)` in the child; `what` says in errors what was being done.

        With `report`, the function gets one more argument, a callable whose values arrive here while it runs.
        Raises LimitExceeded after `seconds`, sending and receiving included, or out of memory; InvalidModel where the
        child dies, WorkerFailed where the function raises anything but a ChrionError, and the function's own
        ChrionErrors. The child lives on after all but the time and its death.
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
                    raise LimitExceeded(f"{what} needs more memory than the limit allows; raise --max-memory ({value})")
                elif kind == "error":
                    raise value
        except TimeoutError:
            # Of the pipe: the child's own errors are ChrionErrors.
            self.kill()
            raise LimitExceeded(f"{what} did not finish within {seconds:g} s; raise --max-seconds") from None
        except (EOFError, OSError):
            raise self._death(what) from None

    def _death(self, what: str) -> ChrionError:
        code = self._process.wait()
        if code == -signal.SIGKILL:
            return LimitExceeded(f"{what} was killed, most likely for taking more memory than there is")
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return InvalidModel(
            f"{what} ended the process ({name}); the model is damaged, needs more memory than the limit allows or hits "
            "a defect of ONNX Runtime"
        )

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


def isolated(function: Callable[..., T], *arguments: Any, memory_bytes: int | None, seconds: float, what: str) -> T:
    """Run one function in a process of its own; see `Worker.call` for the errors."""
    with Worker(memory_bytes) as worker:
        return worker.call(function, *arguments, seconds=seconds, what=what)


def _serve(fd: int, memory_bytes: int | None, parent: int, module: str | None) -> None:
    """The child's main loop: receive a call, send what comes of it, until the parent hangs up."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    if memory_bytes is not None:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    if module is not None:
        with suppress(Exception):  # which the call will run into
            import_module(module)
    pipe = Pipe.of(fd)
    while True:
        try:
            request = pipe.receive()
        except EOFError:
            return
        answer = _answer(request, pipe)
        del request
        pipe.send(answer)
        del answer  # nothing is kept while waiting for the next call


def _answer(request: Message, pipe: Pipe) -> tuple[str, Any]:
    try:
        function, arguments, reports = request.value()
        if reports:
            arguments = (*arguments, lambda value: pipe.send(("report", value)))
        return "result", function(*arguments)
    except ChrionError as error:
        return "error", error
    except MemoryError as error:
        return "memory", " ".join(str(error).split()) or "MemoryError"
    except Exception as error:  # noqa: BLE001, the parent must hear of anything
        text = " ".join(str(error).split())
        if "bad_alloc" in text or "allocate memory" in text.lower():
            return "memory", text[:200]
        return "error", WorkerFailed(f"{type(error).__name__}: {text[:500]}")
