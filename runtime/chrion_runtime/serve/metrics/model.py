"""What is counted while requests are answered: plain numbers, for every microsecond here is every request's."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from math import inf
from time import perf_counter, time

from chrion_runtime.errors import RuntimeFailure, SequenceMismatch
from chrion_runtime.latencies import Histogram, Recent, Window
from chrion_runtime.latencies.histogram import BUCKETS, SHORT_BUCKETS
from chrion_runtime.servable import Servable, StageLabel
from chrion_runtime.serve.planned import PlannedServable
from chrion_runtime.serve.protocol.errors import BadRequest, status_of
from chrion_runtime.serve.protocol.statistics import ModelTotals, Total

OUTCOMES = ("ok", "refused", "overloaded", "failed", "gone")

MOST_STAGES = 200
"""Stages of a model that are counted one by one; the rest are counted together, so that no plan floods Prometheus."""

_Labels = tuple[str, str, str]
"""Bucket, plan and number of a stage."""
REST: _Labels = ("other", "other", "other")


class ModelMetrics:
    """The numbers of one model."""

    def __init__(self, servable: Servable) -> None:
        self.requests = {outcome: Histogram(BUCKETS) for outcome in OUTCOMES}
        self.requests["ok"] = Histogram()  # fine enough for percentiles
        self.refusals: dict[str, int] = {}
        """Requests that were not answered, by the error that says why."""
        self.missed = 0
        """Requests that were answered later than the objective's latency."""
        self.in_flight = 0
        self.queue_wait = Histogram(SHORT_BUCKETS)
        self.runs = 0
        """Requests that were run; those that shared a run count each."""
        self.run_seconds = 0.0
        """What their runs took."""
        self.last_end = 0.0
        """When the last request was answered, as `time.perf_counter` counts; 0 where none was."""
        self.bytes_in = 0
        self.bytes_out = 0
        self.stages: dict[tuple[_Labels, tuple[str, ...]], Histogram] = {}
        """What each stage took, by its labels and lanes."""
        self.queue_length: Callable[[], int] = lambda: 0
        self._stage_of: dict[StageLabel, Callable[[float], None]] = {}
        self._window = Window(self.requests["ok"], perf_counter())
        self.follow(servable)

    def follow(self, servable: Servable) -> None:
        """Count what this one does from now on."""
        self.servable = servable
        self._answered = servable.answered
        self._target = self._read_target()
        servable.observe(self._stage)

    @property
    def waited(self) -> Callable[[float], None]:
        """Takes the seconds that a request waited in line."""
        return self.queue_wait.observe

    def ran(self, seconds: float) -> None:
        """Count the run of a request."""
        self.runs += 1
        self.run_seconds += seconds

    def received(self, nbytes: int) -> None:
        """Count the bytes of a request body."""
        self.bytes_in += nbytes

    def sent(self, nbytes: int) -> None:
        """Count the bytes of an answer's body."""
        self.bytes_out += nbytes

    def watch_queue(self, length: Callable[[], int]) -> None:
        """Have the queue's length read when the metrics are."""
        self.queue_length = length

    @contextmanager
    def request(self) -> Iterator["Stopwatch"]:
        """Count and time the request that is answered inside the block; on the event loop."""
        watch = self.begin()
        error: BaseException | None = None
        try:
            yield watch
        except BaseException as raised:
            error = raised
            raise
        finally:
            self.end(watch, error)

    def begin(self) -> "Stopwatch":
        """A request has begun; `end` must follow."""
        self.in_flight += 1
        return Stopwatch()

    def end(self, watch: "Stopwatch", error: BaseException | None) -> None:
        """It was answered, or ended by an error."""
        self.in_flight -= 1
        if error is not None:
            self._count_error(watch, error)
            return
        now = self.last_end = perf_counter()
        if now >= self._window.due:
            self._turn(now)
        seconds = now - watch.began
        self.requests["ok"].observe(seconds)
        if seconds > self._target:
            self.missed += 1
        self._answered(seconds)

    def _count_error(self, watch: "Stopwatch", error: BaseException) -> None:
        outcome, reason = _blame(error)
        self.requests[outcome].observe(perf_counter() - watch.began)
        self.refusals[reason] = self.refusals.get(reason, 0) + 1
        if outcome == "overloaded":
            self._answered(inf)

    def asked(self) -> ModelTotals:
        """What was asked of the model so far."""
        done = self.requests["ok"]
        others = [histogram for outcome, histogram in self.requests.items() if outcome != "ok"]
        last = time() - (perf_counter() - self.last_end) if self.last_end else 0.0
        return ModelTotals(
            answered=Total(done.count, done.sum),
            failed=Total(sum(one.count for one in others), sum(one.sum for one in others)),
            queued=Total(self.queue_wait.count, self.queue_wait.sum),
            ran=Total(self.runs, self.run_seconds),
            last=last,
        )

    def recent(self) -> Recent:
        """The latency of the requests that were answered in the last minute."""
        self._turn(perf_counter())
        return self._window.recent(perf_counter())

    def lane_seconds(self) -> dict[str, float]:
        """Seconds in which stages of the model held each lane."""
        found: dict[str, float] = {}
        for (_, lanes), histogram in tuple(self.stages.items()):
            for lane in lanes:
                found[lane] = found.get(lane, 0.0) + histogram.sum
        return found

    def _turn(self, now: float) -> None:
        self._window.turn(now)
        self._target = self._read_target()

    def _read_target(self) -> float:
        latency = self.servable.slo.latency if isinstance(self.servable, PlannedServable) else None
        return float("inf") if latency is None else latency.seconds

    def _stage(self, stage: StageLabel, _began: float, seconds: float) -> None:
        observe = self._stage_of.get(stage)
        if observe is None:
            observe = self._meet(stage)
        observe(seconds)

    def _meet(self, stage: StageLabel) -> Callable[[float], None]:
        if len(self._stage_of) >= 4 * MOST_STAGES:
            # Of plans that serve no more, mostly.
            self._stage_of.clear()
        key = ((stage.bucket, stage.plan, str(stage.index)), stage.lanes)
        if key not in self.stages and len(self.stages) >= MOST_STAGES:
            key = (REST, stage.lanes)
        observe = self._stage_of[stage] = self.stages.setdefault(key, Histogram(SHORT_BUCKETS)).observe
        return observe


class Stopwatch:
    """When a request began."""

    __slots__ = ("began",)

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Count from now."""
        self.began = perf_counter()


def _blame(error: BaseException) -> tuple[str, str]:
    """The outcome and the reason that an error stands for."""
    status = status_of(error)
    if status is None:
        return "gone", "client_gone"
    outcome = "refused" if status < 500 else "overloaded" if status in (503, 504) else "failed"
    # Whether it is the sequence's state or the model that a request does not fit is all one to who counts.
    kind = BadRequest if isinstance(error, SequenceMismatch) else type(error)
    return outcome, _reason(kind.__name__) if isinstance(error, RuntimeFailure) else "defect"


@cache
def _reason(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()
