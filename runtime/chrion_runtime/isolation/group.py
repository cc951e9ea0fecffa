"""A group's process and who looks after it: started again when it ends, ended when a run of it does not."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from threading import Event, Lock, Thread
from time import monotonic

from chrion_runtime.errors import PlanRefused, RuntimeFailure
from chrion_runtime.isolation.life import CLOSE_SECONDS, Life
from chrion_runtime.isolation.model import IsolatedModel
from chrion_runtime.isolation.wire import Data, error_of
from chrion_runtime.isolation.worker import Opening

log = logging.getLogger(__name__)

FIRST_SECONDS, MOST_SECONDS, CALM_SECONDS = 0.25, 30.0, 60.0
"""What is waited before a process is started again: twice as long each time, until one has served for a while."""
_TICK_SECONDS = 0.25


class Group:
    """Models that share a process; another one takes its place when it ends."""

    def __init__(self, name: str, setup: Callable[[], None] | None = None) -> None:
        """`setup` is called in each process before anything else; it can be pickled."""
        self.name = name
        self.restarts = 0
        """Processes that were started beside the first."""
        self._setup = setup
        self._life: Life | None = None
        self._guard = Lock()
        self._openings: dict[int, Opening] = {}
        self._models: dict[int, IsolatedModel] = {}
        self._settled: dict[int, Event] = {}
        self._refused: dict[int, RuntimeFailure] = {}
        self._retry: dict[int, float] = {}
        self._numbers = count()
        self._closed = Event()
        self._thread = Thread(target=self._supervise, name=f"chrion-group-{name}", daemon=True)

    @property
    def closed(self) -> bool:
        """Whether its last model has gone, and with it the process."""
        return self._closed.is_set()

    def open(self, openings: Sequence[tuple[str, Opening]]) -> list[IsolatedModel]:
        """Serve these models too, by name; all or none. Raises RuntimeFailure where one cannot be opened."""
        models = [IsolatedModel(name, next(self._numbers), self) for name, _ in openings]
        with self._guard:
            for model, (_, opening) in zip(models, openings, strict=True):
                self._settled[model.index] = Event()
                self._models[model.index] = model
                self._openings[model.index] = opening
            if self._thread.ident is None:
                self._thread.start()
            elif self._life is not None:
                self._tell_open(self._life, [model.index for model in models])
        for model in models:
            self._settled[model.index].wait()
        for model in models:
            if error := self._refused.pop(model.index, None):
                for one in models:
                    self.leave(one)
                raise error
        return models

    def leave(self, model: IsolatedModel) -> None:
        """A model is served no more; with the last one the process ends."""
        with self._guard:
            for of in (self._openings, self._models, self._settled, self._retry):
                of.pop(model.index, None)
            life, last = self._life, not self._models
        if last:
            self._closed.set()
            if life is not None:
                life.control.hang_up()
            if self._thread.ident is not None:
                self._thread.join(CLOSE_SECONDS)
        elif life is not None:
            with suppress(OSError):
                life.control.tell("close", model.index)

    def life(self, index: int) -> Life | None:
        """The process, once the model is open there."""
        model = self._models.get(index)
        return self._life if model is not None and model.ready else None

    def _supervise(self) -> None:
        delay = FIRST_SECONDS
        while not self._closed.is_set():
            began = monotonic()
            life = self._start()
            try:
                self._watch(life)
            except (EOFError, OSError):
                pass  # it has ended
            except Exception:
                log.exception("group %s: its process says what cannot be read, and is ended", self.name)
                life.kill()
            with self._guard:
                self._life = None
                models = list(self._models.values())
            for model in models:
                model.lost()
            life.control.hang_up()
            outcome = life.outcome(CLOSE_SECONDS)
            life.close()
            if self._closed.is_set():
                return
            names = ", ".join(f'"{model.name}"' for model in models)
            if not self._opened_once(outcome):
                return
            if monotonic() - began > CALM_SECONDS:
                delay = FIRST_SECONDS
            log.error("the process of %s ended (%s); another is started in %g s", names, outcome, delay)
            self._closed.wait(delay)
            delay = min(2 * delay, MOST_SECONDS)
            self.restarts += 1

    def _opened_once(self, outcome: str) -> bool:
        """Whether any model was ever open; those that the process ended over are refused."""
        with self._guard:
            waiting = [index for index, event in self._settled.items() if not event.is_set()]
            others = len(waiting) < len(self._models)
        for index in waiting:
            self._refuse(index, PlanRefused(f"its process ended while it was loaded ({outcome})"))
        return others

    def _start(self) -> Life:
        life = Life()
        with self._guard:
            self._life = life
            with suppress(OSError):
                if self._setup is not None:
                    life.control.tell("setup", self._setup)
                self._tell_open(life, list(self._openings))
        return life

    def _tell_open(self, life: Life, indices: Sequence[int]) -> None:
        for index in indices:
            life.control.tell("open", index, self._openings[index])

    def _watch(self, life: Life) -> None:
        """Hear what the process reports, until it ends."""
        while True:
            if life.control.comes(_TICK_SECONDS):
                self._hear(life, life.control.reported())
            self._look(life)

    def _look(self, life: Life) -> None:
        if life.overdue:
            log.error("a run of group %s does not end; its process is ended", self.name)
            life.kill()
        now = monotonic()
        for index, due in tuple(self._retry.items()):
            if due < now:
                with self._guard:
                    if self._retry.pop(index, None) is not None and index in self._openings:
                        self._tell_open(life, [index])

    def _hear(self, life: Life, message: Data) -> None:
        if "refused" in message:
            self._hear_refusal(message["refused"], error_of(message["error"]))
            return
        index = message["opened"] if "opened" in message else message["of"]
        model = self._models.get(index)
        if model is None:
            return
        model.heard(message)
        if "opened" in message and (event := self._settled.get(index)) is not None:
            event.set()
        if answered := model.take_answered():
            life.control.tell("answered", index, answered)

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
        self._refused[index] = error
        if (event := self._settled.get(index)) is not None:
            event.set()
