"""A model that runs in its group's process, as the server sees it."""

import errno
import os
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from math import inf
from typing import Any, Protocol

from chrion_api import SLO, Frontier, Mode
from chrion_runtime.choice.selection import Selection
from chrion_runtime.errors import OutOfMemory, ProcessLost, Restarting, RunStopped
from chrion_runtime.isolation.channel import Channel, Message, named
from chrion_runtime.isolation.group_process import HERE_SECONDS, GroupProcess
from chrion_runtime.isolation.wire import Data, Description, InUse, Report, error_of, in_use_of
from chrion_runtime.servable import Array, Figure, SequenceStep, StageLabel, StageObserver, TensorSpec
from chrion_runtime.stop import Stop

HOP_SECONDS = 250e-6
"""To another core and back, and what Python does at either end; another thread in between would double it."""
MOST_ANSWERED = 100_000
"""Latencies that may wait until the process asks for them."""
_SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)
"""What the server itself has run out of, which is no fault of the process."""


class Home(Protocol):
    """The group of a model, as the model sees it."""

    restarts: int
    """Processes that were started beside the first."""

    def life(self, index: int) -> GroupProcess | None:
        """The process, once the model of that number is open there."""

    def leave(self, model: "IsolatedModel") -> None:
        """A model is served no more; with the last one the process ends."""


class IsolatedModel:
    """Servable, and Planned: what it says of itself is what its process said last."""

    def __init__(self, name: str, index: int, group: Home) -> None:
        """`index` is its number in the group."""
        self.name = name
        self.index = index
        self.ready = False
        """Whether it is open in a process."""
        self.hop_seconds = HOP_SECONDS
        self._group = group
        self._about = Description((), (), {}, 1, frozenset())
        self._report = Report()
        self._in_use: InUse = ()
        self._answered: deque[float] = deque(maxlen=MOST_ANSWERED)
        self._observers: tuple[StageObserver, ...] = ()
        self._labels: dict[tuple[Any, ...], StageLabel] = {}

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What a request must hold."""
        return self._about.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What an answer holds."""
        return self._about.outputs

    @property
    def state(self) -> Mapping[str, str]:
        """The input that each output feeds within a sequence."""
        return self._about.state

    @property
    def deciding(self) -> frozenset[str]:
        """Inputs whose values decide how much a run does."""
        return self._about.deciding

    @property
    def concurrency(self) -> int:
        """Requests that may be in `run` at once; further ones wait."""
        return self._about.concurrency

    @property
    def deadline(self) -> float | None:
        """The objective's latency in seconds; None where it has none."""
        return self._report.deadline

    @property
    def slo(self) -> SLO:
        """The objective that is pursued."""
        return self._report.slo

    @property
    def mode(self) -> Mode:
        """What is minimised; never Auto."""
        return self._report.mode

    @property
    def off_profile(self) -> int:
        """Requests of shapes that no bucket was planned for, of the present process."""
        return self._report.off_profile

    @property
    def in_use(self) -> tuple[tuple[Frontier, Selection], ...]:
        """For each bucket, the plans that there are, and the one that serves, and why."""
        return self._in_use

    @property
    def selections(self) -> tuple[Selection, ...]:
        """The plan that serves each bucket, and why."""
        return tuple(selection for _, selection in self._in_use)

    def run(
        self,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] | None = None,
        sequence: SequenceStep | None = None,
        observer: StageObserver | None = None,
        stop: Stop | None = None,
    ) -> dict[str, Array]:
        """Answer one request in the group's process; see Servable.run.

        Raises ProcessLost where the process ends meanwhile, Restarting while there is none, and whatever the model
        raises there.
        """
        life = self._group.life(self.index)
        if life is None:
            raise Restarting(self.name)
        call = life.begin(within=HERE_SECONDS if stop is None else inf)
        message: Message = {
            "model": self.index,
            "call": call,
            "names": list(inputs),
            "outputs": outputs,
            "step": None if sequence is None else [sequence.id, sequence.start, sequence.end, sequence.scope],
            "stops": stop is not None,
        }
        try:
            if stop is not None:
                if sequence is not None:
                    stop.defer()
                stop.on_set(partial(life.stop, call))
                stop.check()  # who set it before it was deferred takes the run for ended
            reply, found = self._exchange(life, message, list(inputs.values()))
        except (EOFError, OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in _SCARCE:
                raise OutOfMemory(f"the server has nothing left for the request: {os.strerror(error.errno)}") from None
            life.kill()  # what it says cannot be read, where it has not ended by itself
            if stop is not None and stop.is_set:
                raise RunStopped from error
            raise ProcessLost(self.name, life.outcome()) from None
        finally:
            life.ended(call)
        if (problem := reply.get("error")) is not None:
            raise error_of(problem)
        self._tell(reply, observer)
        return found

    def _exchange(
        self, life: GroupProcess, message: Message, tensors: Sequence[Array]
    ) -> tuple[Message, dict[str, Array]]:
        channel = life.borrow()
        try:
            channel.send(message, tensors)
            reply, found = _heard(channel)
        except BaseException:
            life.drop(channel)
            raise
        life.give(channel)
        return reply, found

    def _tell(self, reply: Message, observer: StageObserver | None) -> None:
        observers = self._observers if observer is None else (*self._observers, observer)
        for bucket, plan, index, lanes, began, seconds in reply["stages"]:
            key = (bucket, plan, index, tuple(lanes))
            label = self._labels.get(key)
            if label is None:
                if len(self._labels) > 4096:
                    self._labels.clear()
                label = self._labels[key] = StageLabel(str(bucket), str(plan), int(index), tuple(map(str, lanes)))
            for tell in observers:
                tell(label, float(began), float(seconds))

    def describe_plan(self) -> dict[str, Any]:
        """The plan in use and why, as the process said last."""
        return {**(self._report.plan or {"model": self.name}), "process": "serving" if self.ready else "restarting"}

    def forget(self, scope: str) -> None:
        """Give up the state of all sequences of a scope; what its process held is gone with it anyway."""
        if (life := self._group.life(self.index)) is not None:
            life.forget(self.index, scope)

    def answered(self, seconds: float) -> None:
        """Told of each answered request; the process hears of it with its next report."""
        self._answered.append(seconds)

    def take_answered(self) -> list[float]:
        """What was answered since this was asked last."""
        found = []
        with suppress(IndexError):
            while True:
                found.append(self._answered.popleft())
        return found

    def figures(self) -> list[Figure]:
        """Numbers for the metrics, as the process said last."""
        restarts = Figure(
            "chrion_process_restarts", "counter", "How often the model's process was restarted", {},
            self._group.restarts,
        )  # fmt: skip
        return [*self._report.figures, restarts]

    def observe(self, observer: StageObserver) -> None:
        """Have `observer` called after each stage."""
        self._observers += (observer,)

    def heard(self, message: Data) -> None:
        """Take what the process says of the model. Raises ValueError, InvalidField."""
        if "model" in message:
            self._about = Description.of(message["model"])
        if "inUse" in message:
            self._in_use = in_use_of(message["inUse"])
        self._report = Report.of(message["report"])
        if "opened" in message:
            self.ready = True

    def lost(self) -> None:
        """Its process is gone."""
        self.ready = False

    def close(self) -> None:
        """Serve no more; with the last model of its group the process ends."""
        self._group.leave(self)


def _heard(channel: Channel) -> tuple[Message, dict[str, Array]]:
    """The process's answer and its tensors. Raises EOFError, OSError; ValueError for what is no answer."""
    reply, views = channel.receive()
    try:
        # The views are of memory that the next call writes to.
        return reply, {name: view.copy() for name, view in named(reply.get("names", ()), views).items()}
    except (AttributeError, TypeError) as error:
        raise ValueError(f"no answer: {error}") from None
