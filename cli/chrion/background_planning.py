"""Plan a model beside the calls that it answers: in another process, which stands back, and on a thread that waits."""

import atexit
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chrion.first_calls import COUNTED_SECONDS, FirstCalls
from chrion.forms import device_names, positive_seconds, whole_number
from chrion_api import ChrionError, InputSpec, Plan, PlanFile
from chrion_graph.limits import Limits
from chrion_graph.model_worker import ModelWorker
from chrion_graph.worker import WorkerFailed

if TYPE_CHECKING:
    # Whoever plans in the background has calls to answer, and does not wait until these are imported.
    from chrion_runtime.run.compiled_plan import CompiledPlan
    from chrion_runtime.run.loading import NormalisedModel

log = logging.getLogger(__name__)

_NICE = 10
"""How far planning stands back: calls come first, and yet it gets its part of a busy machine."""
_LONGEST_SECONDS = 24 * 3600.0
"""What is no longer planning, but stuck; the planner keeps to its own timeout."""
_TIDYING_SECONDS = 3.0
"""How long planning may take to tidy up after itself before it is ended."""
_LOADING_SECONDS = 30.0
"""How long a plan that is being loaded is waited for, which nothing can interrupt."""


@dataclass(frozen=True)
class PlanningOptions:
    """How a model is planned while it answers already.

    >>> options = chrion.PlanningOptions(devices=["cpu"], timeout_seconds=60)
    >>> session = chrion.Session("model.onnx", planning=options)
    >>> session.close()
    """

    devices: Sequence[str] = ()
    """Devices to use; empty for the CPU, and the first GPU where there is one."""
    cpu_lanes: int = 0
    """CPU lanes; 0 for as many as the process may use."""
    timeout_seconds: float = 600.0
    """How long planning may take; the best so far is kept."""

    def __post_init__(self) -> None:
        """Raises UsageError where an option cannot be meant."""
        device_names(self.devices)
        whole_number(self.cpu_lanes, "cpu_lanes")
        positive_seconds(self.timeout_seconds, "timeout_seconds")


@dataclass(frozen=True)
class Found:
    """What planning has found, or the cache has held."""

    model: "NormalisedModel"
    plans: PlanFile
    cached: bool
    """Whether it was planned before."""


Compiling = Callable[[Path, Sequence[Plan]], "Sequence[CompiledPlan]"]
"""As the runtime's `PlanCompiler`."""

TakeOver = Callable[[Found, tuple[InputSpec, ...], Compiling], None]
"""Serves by what was found, with what was planned for, and a compiler that does not hold up this process."""


class BackgroundPlanning:
    """The planning of a model that answers meanwhile: `session.planning`. May be read from any thread.

    >>> with chrion.Session("model.onnx", inputs={"input": (1, 200, 161)}) as session:
    ...     session.planning.wait(), session.planning.error, session.planning.part
    (True, None, 1.0)
    """

    def __init__(self, name: str, model: Path, options: PlanningOptions) -> None:
        self._name = name
        self._model = model
        self._options = options
        self._home = os.getpid()
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._worker: ModelWorker | None = None
        self._thread: threading.Thread | None = None
        self.error: ChrionError | None = None
        """Why planning failed; None if it has not."""
        self.cached = False
        """Whether the plan was in the cache."""
        self.doing = "waiting for a first call"
        """What it is at, in words; how far that is, is in `part`."""
        self.part = 0.0
        """The part of planning that is behind, from 0 to 1."""

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of it: the plan serves, or planning has failed or was closed."""
        return self._ended.is_set()

    @property
    def at_home(self) -> bool:
        """Whether this is the process that began it; a fork must leave its parent's planning alone."""
        return os.getpid() == self._home

    def spare(self) -> None:
        """There is a plan already: nothing is to be done."""
        self.doing, self.part = "planned", 1.0
        self._ended.set()

    def start(self, wanted: FirstCalls, at_once: bool, take_over: TakeOver) -> None:
        """Plan for what is `wanted`, `at_once` or after the first calls, then have `take_over` serve by it."""
        self._thread = threading.Thread(
            target=self._work, args=(wanted, at_once, take_over), name=f"chrion-planning-{self._name}", daemon=True
        )
        atexit.register(self.close)  # for programs that end without closing
        self._thread.start()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it has ended, for as long as that takes or for so many seconds; whether it has."""
        return self._ended.wait(seconds)

    def close(self) -> None:
        """End it, wherever it is; returns once nothing of it runs any more. Does nothing in a fork of the process."""
        if not self.at_home:
            return
        self._stop.set()
        atexit.unregister(self.close)
        if self._thread is None or self._thread is threading.current_thread():
            return
        for number, seconds in ((signal.SIGTERM, _TIDYING_SECONDS), (signal.SIGKILL, _LOADING_SECONDS)):
            if (worker := self._worker) is not None:
                with suppress(ProcessLookupError):
                    os.kill(worker.pid, number)
            self._thread.join(seconds)
            if not self._thread.is_alive():
                return

    def abandon(self) -> None:
        """Have it end soon, without waiting until it has. Does nothing in a fork of the process."""
        if not self.at_home:
            return
        self._stop.set()
        if (worker := self._worker) is not None:
            with suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGTERM)

    def _work(self, wanted: FirstCalls, at_once: bool, take_over: TakeOver) -> None:
        try:
            if at_once or self._heard(wanted):
                self._plan(wanted.specs(), take_over)
        except ChrionError as error:
            self._fail(error)
        except Exception as error:
            log.exception("%s: a defect in planning; the model answers on without a plan", self._name)
            self.doing, self.error = "failed", WorkerFailed(f"planning: {type(error).__name__}: {error}")
        finally:
            atexit.unregister(self.close)
            self._ended.set()

    def _heard(self, calls: FirstCalls) -> bool:
        """Wait for the first calls; False where it was closed meanwhile."""
        while not calls.begun.wait(0.1):
            if self._stop.is_set():
                return False
        return not self._stop.wait(COUNTED_SECONDS)

    def _plan(self, specs: tuple[InputSpec, ...], take_over: TakeOver) -> None:
        self.doing = "starting"
        with self._working() as worker:
            found = worker.call(
                find_plans,
                self._model,
                specs,
                self._options,
                seconds=_LONGEST_SECONDS,
                what=f"planning {self._model}",
                report=self._told,
            )
            self.doing, self.cached = "taking over", found.cached
            take_over(found, specs, partial(_compiled, worker))
            self.doing, self.part = "planned", 1.0

    @contextmanager
    def _working(self) -> Iterator[ModelWorker]:
        with ModelWorker() as worker:
            os.setpriority(os.PRIO_PROCESS, worker.pid, os.getpriority(os.PRIO_PROCESS, 0) + _NICE)
            self._worker = worker
            try:
                if self._stop.is_set():
                    raise ChrionError("closed before it was planned")
                yield worker
            finally:
                self._worker = None

    def _told(self, news: tuple[str, float | None]) -> None:
        what, part = news
        if part is None:
            log.info("%s: planning: %s", self._name, what)
        else:
            self.doing, self.part = what, part

    def _fail(self, error: ChrionError) -> None:
        if self._stop.is_set():
            self.doing = "closed"
            return
        self.doing, self.error = "failed", error
        log.warning("%s: answers on without a plan: %s", self._name, error)


def _compiled(worker: ModelWorker, folder: Path, plans: Sequence[Plan]) -> "tuple[CompiledPlan, ...]":
    what = f"cutting {', '.join(plan.name for plan in plans)}"
    return worker.call(cut_plans, folder, tuple(plans), seconds=Limits().seconds, what=what)


def cut_plans(folder: Path, plans: tuple[Plan, ...]) -> "tuple[CompiledPlan, ...]":
    """As `compile_plans`, imported in the process of its own where this runs. Raises ChrionError."""
    from chrion_runtime.run.compiled_plan import compile_plans

    return compile_plans(folder, plans)


def find_plans(
    model: Path, inputs: tuple[InputSpec, ...], options: PlanningOptions, report: Callable[[Any], None]
) -> Found:
    """Plans from the cache, else made and kept there; `report` is told news. SIGTERM ends it, and it tidies up.

    Runs in a process of its own. Raises ChrionError.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    from chrion import cache, planning

    guard = threading.Lock()

    def tell(what: str, part: float | None = None) -> None:
        with guard:
            report((what, part))

    task = planning.PlanningTask(
        model,
        inputs,
        tuple(options.devices),
        options.cpu_lanes,
        options.timeout_seconds,
        progress=tell,
        warn=tell,
    )
    plans, cached = planning.cached_plan(task)
    return Found(cache.normalised(model, task.limits), plans, cached)
