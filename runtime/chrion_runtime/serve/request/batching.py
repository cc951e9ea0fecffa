"""Dynamic batching: requests that wait for a run anyway are run together, and the answer is taken apart again.

Nothing waits for company: a request that could run at once does. So batches form as far as requests pile up, and cost
no latency where they do not.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter

import numpy as np

from chrion_runtime.errors import RunError
from chrion_runtime.servable import Array, Servable, StageLabel, StageObserver, TensorSpec
from chrion_runtime.serve.admission.run_queue import Ended, RunQueue
from chrion_runtime.serve.protocol import InferRequest
from chrion_runtime.serve.protocol.errors import DeadlineExceeded
from chrion_runtime.stop import Stop

log = logging.getLogger(__name__)

Results = Mapping[str, Array]
Outcome = tuple[Results, float]

RTOL, ATOL = 1e-3, 1e-4
"""How far an answer in company may be from the one alone: kernels for other sizes round otherwise."""


@dataclass(eq=False)
class _Waiting:
    request: InferRequest
    outputs: tuple[str, ...]
    rows: int
    """The size of its first axis."""
    observer: StageObserver | None
    ended: Ended | None
    future: "asyncio.Future[Outcome]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    batch: "_Batch | None" = None
    """What it runs with; None while it waits."""

    def tell(self, *, ran: bool) -> None:
        """No thread is at it any more."""
        if self.ended is not None:
            self.ended(ran)

    def goes_with(self, other: "_Waiting") -> bool:
        """Whether both may share a run: they differ in the first axis at most."""
        mine, theirs = self.request.inputs, other.request.inputs
        return (
            self.outputs == other.outputs
            and mine.keys() == theirs.keys()
            and all(array.shape[1:] == theirs[name].shape[1:] for name, array in mine.items())
        )


@dataclass(eq=False)
class _Batch:
    """Requests that share a run, which ends early only when none of them waits for it any more."""

    members: list[_Waiting]
    stop: Stop = field(default_factory=Stop)
    gone: int = 0
    task: "asyncio.Task[None] | None" = None
    begun: bool = False
    """Whether its task has taken its first step; a task that is cancelled before never takes any."""

    def leave(self) -> None:
        """One of them waits no more."""
        self.gone += 1
        if self.deserted and self.begun and self.task is not None:
            self.task.cancel()

    @property
    def deserted(self) -> bool:
        """Whether nobody waits for it."""
        return self.gone == len(self.members)


class Batcher:
    """Runs requests of one model, those that wait together; called on the event loop.

    The model must answer each row of its first axis apart from the others. The first batch is run row by row as well:
    a model that answers otherwise then is never batched again.
    """

    def __init__(self, servable: Servable, queue: RunQueue, limit: int) -> None:
        """`limit` is the most rows of one run."""
        self._servable = servable
        self._queue = queue
        self._limit = limit
        self._workers = max(1, servable.concurrency)
        self._running = 0
        self._waiting: deque[_Waiting] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._checked = False
        self.off = _off(servable)
        """Why nothing is batched; empty while it is."""
        if self.off:
            log.warning('model "%s" is not batched: %s', servable.name, self.off)

    async def run(
        self,
        request: InferRequest,
        observer: StageObserver | None = None,
        *,
        allowed: float | None = None,
        left: float | None = None,
        ended: Ended | None = None,
    ) -> Outcome:
        """Results, and the seconds that the run took which they came from.

        `allowed`, `left` and `ended` are as in RunQueue.run. Raises RunError, DeadlineExceeded.
        """
        sizes = {array.shape[0] for array in request.inputs.values()} if not self.off else {0}
        rows = sizes.pop() if len(sizes) == 1 else 0
        one = _Waiting(request, tuple(output.name for output in request.outputs), rows, observer, ended)
        loop = asyncio.get_running_loop()
        timer = None if left is None else loop.call_later(left, self._expire, one, allowed or left)
        self._waiting.append(one)
        self._start()
        try:
            return await one.future
        except asyncio.CancelledError:
            self._leave(one)
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _expire(self, one: _Waiting, allowed: float) -> None:
        if not one.future.done():
            one.future.set_exception(DeadlineExceeded(allowed))
            self._leave(one)

    def _leave(self, one: _Waiting) -> None:
        if one.batch is not None:
            one.batch.leave()
        elif one in self._waiting:
            self._waiting.remove(one)
            one.tell(ran=False)

    def _start(self) -> None:
        while self._waiting and self._running < self._workers:
            self._running += 1
            batch = _Batch(self._next())
            for one in batch.members:
                one.batch = batch
            batch.task = asyncio.get_running_loop().create_task(self._serve(batch))
            self._tasks.add(batch.task)
            batch.task.add_done_callback(self._tasks.discard)

    def _next(self) -> list[_Waiting]:
        """The oldest request, and those that go with it as far as the limit allows, in their order."""
        first = self._waiting.popleft()
        batch, rows = [first], first.rows
        if self.off or not first.rows:
            return batch
        for one in tuple(self._waiting):
            if one.rows and rows + one.rows <= self._limit and one.goes_with(first):
                batch.append(one)
                rows += one.rows
                self._waiting.remove(one)
        return batch

    async def _serve(self, batch: _Batch) -> None:
        batch.begun = True
        if batch.deserted:
            self._ended(batch, ran=False)
            return
        try:
            work = partial(self._run, batch.members, batch.stop)
            outcomes = await self._queue.run(work, stop=batch.stop, ended=partial(self._ended, batch))
        except BaseException as error:  # noqa: BLE001, each caller gets it
            outcomes = [error] * len(batch.members)
        for one, outcome in zip(batch.members, outcomes, strict=True):
            if one.future.done():
                continue
            if isinstance(outcome, BaseException):
                one.future.set_exception(outcome)
            else:
                one.future.set_result(outcome)

    def _ended(self, batch: _Batch, ran: bool) -> None:
        self._running -= 1
        for one in batch.members:
            one.tell(ran=ran)
        self._start()

    def _run(self, batch: Sequence[_Waiting], stop: Stop) -> list[Outcome | BaseException]:
        """On a thread: all at once, and each alone where that fails or was never tried before. Raises RunStopped."""
        if len(batch) == 1:
            return [self._alone(batch[0], stop)]
        try:
            together = self._together(batch, stop)
        except RunError:
            # One of them is at fault: only that one shall hear of it.
            return [self._alone(one, stop) for one in batch]
        if self._checked:
            return list(together)
        alone = [self._alone(one, stop) for one in batch]
        if all(_alike(one, other) for one, other in zip(together, alone, strict=True)):
            self._checked = True
        elif not any(isinstance(one, BaseException) for one in alone):
            self.off = "the answer to a row depends on other rows"
            log.warning('model "%s" is not batched: %s', self._servable.name, self.off)
        return alone

    def _alone(self, one: _Waiting, stop: Stop) -> Outcome | BaseException:
        began = perf_counter()
        try:
            results = self._servable.run(one.request.inputs, one.outputs, observer=one.observer, stop=stop)
            return results, perf_counter() - began
        except RunError as error:
            error.request_id = one.request.id
            return error

    def _together(self, batch: Sequence[_Waiting], stop: Stop) -> list[Outcome]:
        names = batch[0].request.inputs
        began = perf_counter()
        whole = self._servable.run(
            {name: np.concatenate([one.request.inputs[name] for one in batch]) for name in names},
            batch[0].outputs,
            observer=_all([one.observer for one in batch if one.observer is not None]),
            stop=stop,
        )
        seconds = perf_counter() - began
        total = sum(one.rows for one in batch)
        if any(not array.ndim or array.shape[0] != total for array in whole.values()):
            raise RunError(f"the answer to {total} rows has a different number of rows")
        ends = np.cumsum([one.rows for one in batch])
        return [
            ({name: array[end - one.rows : end] for name, array in whole.items()}, seconds)
            for one, end in zip(batch, ends.tolist(), strict=True)
        ]


def _all(observers: Sequence[StageObserver]) -> StageObserver | None:
    """One observer that tells them all; None for none."""
    if not observers:
        return None

    def tell(stage: StageLabel, began: float, seconds: float) -> None:
        for observer in observers:
            observer(stage, began, seconds)

    return tell


def _off(servable: Servable) -> str:
    """Why requests for a model never share a run; empty where they may."""
    if any(spec.optional for spec in servable.inputs):
        return "inputs may be left out"
    return "" if _open_first_axes((*servable.inputs, *servable.outputs)) else "its first axes are not all open"


def _open_first_axes(specs: Sequence[TensorSpec]) -> bool:
    return all(spec.shape and spec.shape[0] is None and not spec.dtype.hasobject for spec in specs)


def _alike(one: Outcome, other: Outcome | BaseException) -> bool:
    if isinstance(other, BaseException):
        return False
    return all(
        array.shape == other[0][name].shape
        and np.allclose(array, other[0][name], rtol=RTOL, atol=ATOL, equal_nan=array.dtype.kind == "f")
        for name, array in one[0].items()
    )
