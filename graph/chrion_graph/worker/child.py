"""The child's main loop: receive a call, send what comes of it, until the parent hangs up."""

import ctypes
import os
import resource
import signal
from contextlib import suppress
from importlib import import_module
from typing import Any

from chrion_api import ChrionError
from chrion_graph.worker.errors import WorkerFailed
from chrion_graph.worker.pipe import Message, Pipe


def serve(fd: int, memory_bytes: int | None, parent: int, module: str | None) -> None:
    """Answer the calls of the process `parent` on the pipe `fd`, in this much address space; imports `module` first."""
    if not die_with(parent):
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


def die_with(parent: int) -> bool:
    """Have this process end with the thread that started it; False where the process `parent` has ended already."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    return os.getppid() == parent


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
