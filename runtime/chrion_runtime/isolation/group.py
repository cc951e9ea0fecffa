"""A group and the supervisor of its process: restarts it when it ends, and ends it when a run in it does not end."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from threading import Event, Lock, Thread
from time import monotonic, sleep, thread_time

from chrion_runtime.errors import PlanRefused, RuntimeFailure
from chrion_runtime.isolation.group_process import CLOSE_SECONDS, GroupProcess
from chrion_runtime.isolation.model import IsolatedModel
from chrion_runtime.isolation.wire import Data, error_of
from chrion_runtime.isolation.worker import Opening

log = logging.getLogger(__name__)

FIRST_SECONDS, MOST_SECONDS, CALM_SECONDS = 0.25, 30.0, 60.0
"""What is waited before a process is started again: twice as long each time, until one has served for a while."""
OPEN_SECONDS = 60.0
"""What a process may take to read what it is to open, which it does once it has imported what it needs."""
STILL_SECONDS = 60.0
"""A process that reports nothing for so long is ended; it has to import what it needs before it can."""
PAUSE = 9
"""Times what hearing a process took that it is not heard: one that reports without end gets a tenth of a core."""
_TICK_SECONDS = 0.25


class Group:
    """Models that share a process, for as long as there are any; another process takes its place when it ends."""

    def __init__(self, name: str, setup: Callable[[], None] | None = None) -> None:
        """`setup` is called in each process before anything else; it can be pickled."""
        self.name = name
        self.restarts = 0
        """Processes that were started beside the first."""
        self._setup = setup
        self._guard = Lock()
        self._life: GroupProcess | None = None
        self._thread: Thread | None = None
        self._openings: dict[int, Opening] = {}
        self._models: dict[int, IsolatedModel] = {}
        self._settled: dict[int, Event] = {}
        self._told: set[int] = set()
        """Models that the present process has been told to open."""
        self._refused: dict[int, RuntimeFailure] = {}
        self._retry: dict[int, float] = {}
        self._numbers = count()
        self._empty = Event()
        """Wakes who waits to start another process."""

    @property
    def closed(self) -> bool:
        """Whether its last model has gone, and with it the process."""
        return not self._models

    def open(self, openings: Sequence[tuple[str, Opening]]) -> list[IsolatedModel]:
        """Serve these models too, by name; all or none. Raises RuntimeFailure where one cannot be opened."""
        models = [IsolatedModel(name, next(self._numbers), self) for name, _ in openings]
        with self._guard:
            for model, (_, opening) in zip(models, openings, strict=True):
                self._settled[model.index] = Event()
                self._models[model.index] = model
                self._openings[model.index] = opening
            if self._thread is None:
                self._thread = Thread(target=self._supervise, name=f"chrion-group-{self.name}", daemon=True)
                self._thread.start()
            elif self._life is not None:
                self._tell_open(self._life, [model.index for model in models])
        try:
            for model in models:
                self._settled[model.index].wait()
            refused = [error for model in models if (error := self._refused.pop(model.index, None))]
            if refused:
                raise refused[0]
        except BaseException:
            for model in models:
                self.leave(model)
            raise
        return models

    def leave(self, model: IsolatedModel) -> None:
        """A model is served no more; with the last one the process ends."""
        with self._guard:
            for of in (self._openings, self._models, self._settled, self._retry):
                of.pop(model.index, None)
            life, last = self._life, not self._models
            if last:
                self._life = None  # what is opened from now on is opened in another
        if last:
            self._empty.set()
            if life is not None:
                life.control.hang_up()
                life.outcome(CLOSE_SECONDS)
                life.kill()
        elif life is not None:
            with suppress(OSError):
                life.control.tell("close", model.index)

    def life(self, index: int) -> GroupProcess | None:
        """The process, once the model is open there."""
        model = self._models.get(index)
        return self._life if model is not None and model.ready else None

    def _supervise(self) -> None:
        delay = FIRST_SECONDS
        while self._wanted():
            began = monotonic()
            outcome = self._live()
            if not self._wanted():
                return
            if monotonic() - began > CALM_SECONDS:
                delay = FIRST_SECONDS
            names = ", ".join(f'"{model.name}"' for model in tuple(self._models.values()))
            log.error("the process of %s ended (%s); starting another in %g s", names, outcome, delay)
            self._empty.wait(delay)
            delay = min(2 * delay, MOST_SECONDS)
            self.restarts += 1

    def _wanted(self) -> bool:
        """Whether there are models to serve; where there are none, this thread ends, and `open` starts another."""
        with self._guard:
            if self._openings:
                self._empty.clear()
            else:
                self._thread = None
            return bool(self._openings)

    def _live(self) -> str:
        """Have a process from its start to its end; how it ended. Models that it did not live to open are refused."""
        with self._guard:
            self._told = set(self._openings)
        try:
            life = GroupProcess()
        except OSError as error:  # no descriptor is left, or no memory
            outcome = f"it cannot be started: {error}"
        else:
            self._attend(life)
            outcome = life.outcome(CLOSE_SECONDS)
            life.close()
        with self._guard:
            lost = [index for index in self._told if (event := self._settled.get(index)) and not event.is_set()]
        for index in lost:
            self._refuse(index, PlanRefused(f"its process ended while it was loaded ({outcome})"))
        return outcome

    def _attend(self, life: GroupProcess) -> None:
        """Have the models opened, and hear what the process reports, until it ends."""
        try:
            with self._guard:
                if not self._models:
                    return
                self._life = life
                if self._setup is not None:
                    life.control.tell("setup", self._setup, seconds=OPEN_SECONDS)
                self._tell_open(life, list(self._openings))
            heard = monotonic()
            while not life.over:
                used = thread_time()
                if (report := life.control.reported(_TICK_SECONDS)) is not None:
                    heard = monotonic()
                    self._hear(life, report)
                self._look(life, monotonic() - heard)
                sleep(min(PAUSE * (thread_time() - used), _TICK_SECONDS))
        except (EOFError, OSError):
            pass  # it has ended
        except Exception:
            log.exception("group %s: its process sent something unreadable; killing it", self.name)
            life.kill()
        finally:
            with self._guard:
                if self._life is life:
                    self._life = None
                models = list(self._models.values())
            for model in models:
                model.lost()
            life.control.hang_up()

    def _tell_open(self, life: GroupProcess, indices: Sequence[int]) -> None:
        """Called with the guard; where the process is gone, the next one opens them."""
        with suppress(OSError):
            for index in indices:
                life.control.tell("open", index, self._openings[index], seconds=OPEN_SECONDS)
                self._told.add(index)

    def _look(self, life: GroupProcess, silent: float) -> None:
        """See to what is due; `silent` are the seconds since the process reported last."""
        if life.overdue:
            log.error("a run of group %s does not end; killing its process", self.name)
            life.kill()
        elif silent > STILL_SECONDS:
            log.error("the process of group %s hangs; killing it", self.name)
            life.kill()
        now = monotonic()
        for index, due in tuple(self._retry.items()):
            if due < now:
                with self._guard:
                    if self._retry.pop(index, None) is not None and index in self._openings:
                        self._tell_open(life, [index])

    def _hear(self, life: GroupProcess, message: Data) -> None:
        if "refused" in message:
            self._hear_refusal(message["refused"], error_of(message["error"]))
            return
        index = message.get("opened", message.get("of"))
        model = None if index is None else self._models.get(index)
        if model is None:
            return
        model.heard(message)
        if "opened" in message and (event := self._settled.get(model.index)) is not None:
            event.set()
        if answered := model.take_answered():
            life.control.tell("answered", model.index, answered)

    def _hear_refusal(self, index: int, error: RuntimeFailure) -> None:
        event = self._settled.get(index)
        if event is None:
            return
        if not event.is_set():
            self._refuse(index, error)
            return
        log.error("group %s: a model could not be opened again: %s", self.name, error)
        self._retry[index] = monotonic() + MOST_SECONDS

    def _refuse(self, index: int, error: RuntimeFailure) -> None:
        with self._guard:
            self._openings.pop(index, None)
            event = self._settled.get(index)
            if event is not None:
                self._refused[index] = error
                event.set()
