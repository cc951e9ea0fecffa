"""How a command ends in a pod: with a message that the operator reads, and an exit code that it can tell by.

Kubernetes keeps what a container writes to its termination log; see `chrion_api.handover.Termination`.
"""

import asyncio
import os
import signal
import sys
import traceback
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar

from chrion.errors import UsageError
from chrion.pod.config_map import ConfigMapGone
from chrion.pod.payload import PlanTooLarge
from chrion_api import ChrionError, InvalidDocument, Reason
from chrion_api.handover import PERMANENT, Termination
from chrion_api.redact import redacted
from chrion_graph.errors import InputMismatch, InvalidModel, LimitExceeded, UnsafeModel
from chrion_runtime import fetch
from chrion_runtime.errors import DeviceUnavailable

T = TypeVar("T")

_DEFAULT_LOG = Path("/dev/termination-log")
_INTERRUPTED = Termination(reason=Reason.INTERRUPTED, message="was told to stop before it was done")


class Superseded(ChrionError):
    """What this pod works at is wanted no more."""


REASONS: dict[type[ChrionError], tuple[Reason, bool]] = {
    fetch.ModelNotFound: (Reason.MODEL_NOT_FOUND, True),
    fetch.AccessDenied: (Reason.ACCESS_DENIED, True),
    fetch.FetchRefused: (Reason.FETCH_REFUSED, True),
    fetch.ModelTooLarge: (Reason.MODEL_TOO_LARGE, True),
    fetch.DigestMismatch: (Reason.DIGEST_MISMATCH, True),
    fetch.Unreachable: (Reason.MODEL_UNREACHABLE, False),
    InvalidModel: (Reason.INVALID_MODEL, True),
    UnsafeModel: (Reason.INVALID_MODEL, True),
    LimitExceeded: (Reason.MODEL_TOO_LARGE, True),
    InputMismatch: (Reason.INVALID_SPEC, True),
    InvalidDocument: (Reason.INVALID_SPEC, True),
    UsageError: (Reason.INVALID_SPEC, True),
    DeviceUnavailable: (Reason.DEVICE_UNAVAILABLE, False),
    PlanTooLarge: (Reason.PLANNER_FAILED, True),
    ConfigMapGone: (Reason.SUPERSEDED, True),
    Superseded: (Reason.SUPERSEDED, True),
}
"""The reason of each error, and whether it is permanent; an error of another class may pass."""


@contextmanager
def terminating(otherwise: Reason) -> Iterator[None]:
    """Run a pod's work; leaves the process with exit code 42 for what is permanent and 1 for what may pass.

    `otherwise` is the reason of errors that have none of their own.
    """
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except ChrionError as error:
        reason, permanent = next(
            (known for kind in type(error).__mro__ if (known := REASONS.get(kind))), (otherwise, False)
        )
        _leave(Termination(reason=reason, message=str(error), permanent=permanent))
    except (KeyboardInterrupt, asyncio.CancelledError):
        _leave(_INTERRUPTED)
    except Exception as error:  # noqa: BLE001, the operator must hear of anything
        print(redacted("".join(traceback.format_exception(error))), file=sys.stderr)
        text = redacted(f"a bug in Chrion: {type(error).__name__}: {error}")
        _leave(Termination(reason=otherwise, message=text))


async def cancelled_by_sigterm(work: Coroutine[Any, Any, T]) -> T:
    """Run what `asyncio.run` is given; SIGTERM cancels it, so that nothing half-done is left."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def last_words(termination: Termination) -> None:
    """Write the termination message: to the file in CHRION_TERMINATION_LOG, or to Kubernetes' own where that is."""
    named = os.environ.get("CHRION_TERMINATION_LOG")
    path = Path(named) if named else _DEFAULT_LOG
    if not named and not path.exists():
        return
    try:
        # In place: a container's log is a mount of its own, over which nothing can be renamed.
        path.write_text(termination.to_json(), encoding="utf-8")
    except OSError as error:
        print(f"chrion: {path}: cannot be written: {error.strerror}", file=sys.stderr)


def _terminate(signum: int, frame: FrameType | None) -> NoReturn:
    """End at once: worker processes die with this one, and an exception could get lost on its way up."""
    del signum, frame
    last_words(_INTERRUPTED)
    print(f"chrion: {_INTERRUPTED.message}", file=sys.stderr, flush=True)
    os._exit(1)


def _leave(termination: Termination) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    last_words(termination)
    print(f"chrion: {termination.message}", file=sys.stderr)
    sys.exit(PERMANENT if termination.permanent else 1)
