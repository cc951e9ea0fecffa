"""The process of a group: opens its models, answers on as many channels as it is given, and reports how they are."""

import ctypes
import gc
import logging
import os
import signal
import socket
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from threading import Event, Lock, Thread
from typing import Any

from chrion_api import ChrionError
from chrion_runtime.errors import PlanRefused, RunError
from chrion_runtime.isolation.channel import Channel, Message, named
from chrion_runtime.isolation.control import Control
from chrion_runtime.isolation.wire import Description, Report, error_data, in_use_data
from chrion_runtime.planned_model import PlannedModel
from chrion_runtime.run.machine import Machine
from chrion_runtime.servable import Array, SequenceStep, StageLabel
from chrion_runtime.stop import Stop

log = logging.getLogger(__name__)

Opening = Callable[[Machine], PlannedModel]
"""Opens a model in the process that serves it; can be pickled, and raises ChrionError."""

REPORT_SECONDS = 0.5
SWITCH_INTERVAL = 50e-6
"""As in the server: threads of Python must not hold up lanes."""
EARLY = 1024
"""Requests that were stopped before they began and are remembered."""


def main(fd: int, parent: int) -> None:
    """Serve until the parent hangs up."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        return
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the parent decides
    sys.setswitchinterval(SWITCH_INTERVAL)
    _Worker(Control(socket.socket(fileno=fd))).serve()


class _Worker:
    def __init__(self, control: Control) -> None:
        self._control = control
        self._machine = Machine()
        self._models: dict[int, PlannedModel] = {}
        self._stops = _Stops()
        self._over = Event()

    def serve(self) -> None:
        Thread(target=self._report_forever, name="chrion-report", daemon=True).start()
        with suppress(EOFError):
            while True:
                kind, *rest = self._control.told()
                getattr(self, f"_{kind}")(*rest)
        # Threads may be in the midst of a run, and the models' memory goes with the process.
        os._exit(0)

    # What the parent says.

    def _setup(self, work: Callable[[], None]) -> None:
        work()

    def _open(self, index: int, opening: Opening) -> None:
        Thread(target=self._opened, args=(index, opening), name=f"chrion-open-{index}", daemon=True).start()

    def _channel(self) -> None:
        sock = socket.socket(fileno=self._control.descriptor())
        Thread(target=self._answer_forever, args=(Channel(sock),), name="chrion-channel", daemon=True).start()

    def _stop(self, call: int) -> None:
        self._stops.set(call)

    def _answered(self, index: int, seconds: Sequence[float]) -> None:
        if (model := self._models.get(index)) is not None:
            for one in seconds:
                model.answered(one)

    def _forget(self, index: int, scope: str) -> None:
        if (model := self._models.get(index)) is not None:
            model.forget(scope)

    def _close(self, index: int) -> None:
        model = self._models.pop(index, None)
        if model is not None:
            # It may take a while, and runs of other models are told to end here.
            Thread(target=model.close, name=f"chrion-close-{index}", daemon=True).start()

    # What the process does.

    def _opened(self, index: int, opening: Opening) -> None:
        try:
            model = opening(self._machine)
        except ChrionError as error:
            self._control.report({"refused": index, "error": error_data(error)})
            return
        except Exception as error:
            log.exception("a model could not be opened")
            refusal = PlanRefused(f"it cannot be opened: {type(error).__name__}: {error}")
            self._control.report({"refused": index, "error": error_data(refusal)})
            return
        self._models[index] = model
        gc.collect()
        gc.freeze()
        about = Description(model.inputs, model.outputs, model.state, model.concurrency, model.deciding)
        self._control.report(
            {"opened": index, "model": about.to_data(), **_report(model), "inUse": in_use_data(model.in_use)}
        )

    def _report_forever(self) -> None:
        known: dict[int, Any] = {}
        with suppress(OSError):
            while not self._over.wait(REPORT_SECONDS):
                for index, model in tuple(self._models.items()):
                    message: dict[str, Any] = {"of": index, **_report(model)}
                    in_use = model.in_use
                    if known.get(index) is not None and in_use != known[index]:
                        message["inUse"] = in_use_data(in_use)
                    known[index] = in_use
                    self._control.report(message)
                self._control.report({})  # it is alive, also while it opens its first model

    def _answer_forever(self, channel: Channel) -> None:
        with closing(channel), suppress(EOFError, OSError):
            while True:
                message, tensors = channel.receive()
                reply, results = self._answer(message, tensors)
                del tensors
                try:
                    channel.send(reply, results)
                except (TypeError, ValueError) as error:
                    log.exception("an answer could not be handed over")
                    channel.send({"error": error_data(RunError(f"the answer has no form here: {error}"))}, [])
                del results

    def _answer(self, message: Message, tensors: Sequence[Array]) -> tuple[Message, list[Array]]:
        ran: list[tuple[StageLabel, float, float]] = []

        def observe(stage: StageLabel, began: float, seconds: float) -> None:
            ran.append((stage, began, seconds))

        call, step = message["call"], message["step"]
        model = self._models.get(message["model"])
        try:
            if model is None:
                raise RunError("the model is not open here")
            results = model.run(
                named(message["names"], tensors),
                message["outputs"],
                None if step is None else SequenceStep(*step),
                observe,
                self._stops.begin(call) if message["stops"] else None,
            )
        except ChrionError as error:
            return {"error": error_data(error)}, []
        except Exception as error:
            log.exception("a request failed")
            return {"error": error_data(RunError(f"internal error: {type(error).__name__}"))}, []
        finally:
            if message["stops"]:
                self._stops.end(call)
        return {
            "names": list(results),
            "stages": [[at.bucket, at.plan, at.index, at.lanes, began, seconds] for at, began, seconds in ran],
        }, list(results.values())


def _report(model: PlannedModel) -> Mapping[str, Any]:
    return {
        "report": Report(
            model.deadline,
            model.slo,
            model.mode,
            model.off_profile,
            model.describe_plan(),
            tuple(model.figures()),
        ).to_data()
    }


class _Stops:
    """The runs under way, to be stopped by the number of their call; which may be told before the call has come."""

    def __init__(self) -> None:
        self._guard = Lock()
        self._running: dict[int, Stop] = {}
        self._early: OrderedDict[int, None] = OrderedDict()

    def begin(self, call: int) -> Stop:
        stop = Stop()
        with self._guard:
            early = call in self._early
            self._early.pop(call, None)
            self._running[call] = stop
        if early:
            stop.set()
        return stop

    def end(self, call: int) -> None:
        with self._guard:
            self._running.pop(call, None)

    def set(self, call: int) -> None:
        with self._guard:
            stop = self._running.get(call)
            if stop is None:
                self._early[call] = None
                if len(self._early) > EARLY:
                    self._early.popitem(last=False)
        if stop is not None:
            stop.set()
