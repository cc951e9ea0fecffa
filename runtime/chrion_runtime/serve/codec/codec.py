"""Large JSON is read and written in processes of their own, so that it never holds this one's interpreter for long.

orjson parses a megabyte in one call of several milliseconds, in which no lane of this process gets from one stage to
the next; no switch interval helps against that. Handing the bytes to another process takes a tenth of it. What else is
read value by value goes the same way: many strings, and typed values over gRPC.
"""

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from threading import Lock, Thread
from time import monotonic, sleep

from chrion_api import ChrionError
from chrion_graph.worker import Worker, WorkerDied, WorkerFailed, WorkerOutOfMemory, WorkerTimeout
from chrion_runtime.servable import Array
from chrion_runtime.serve.admission.deadline import Deadline
from chrion_runtime.serve.codec import remote
from chrion_runtime.serve.codec.queue import HEAVY, CodecJob, CodecQueue
from chrion_runtime.serve.codec.remote import Specs
from chrion_runtime.serve.protocol import Answer, InferRequest, Unread, Write
from chrion_runtime.serve.protocol.errors import AnswerFailed, CodecLost, TooCostly, TooLarge

MEMORY = 2 * 1024 * 1024 * 1024
"""Bytes of address space that a process may take; the largest body allowed takes about half of it."""
START_SECONDS = 60.0
"""What a process may take to start, on a machine that is busy."""
READY_SECONDS = 2.0
"""What one that waits may take to say that it is there, before it is given work; else it is taken to be stopped."""
WORK_SECONDS = 10.0
"""What it may take over one body, and beside that"""
SECONDS_PER_BYTE = 1e-6
"""so much for each byte; else it is taken to hang."""
WHAT = "large JSON"

_TOO_COSTLY = f"reading or writing the JSON takes more than {MEMORY} bytes of memory: send and request binary tensors"

_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""Threads that are never used would take address space."""


class Codec:
    """Processes that read and write JSON, each with a thread that waits for it; started when first wanted.

    They are spawned, die with this process, and are restarted when they end. Two at least keep a large body from
    holding up small ones; with one, small ones go first. Used from one thread.
    """

    def __init__(self, processes: int) -> None:
        self._line = CodecQueue()
        self._lock = Lock()
        self._closed = False
        self._threads: list[Thread] = []
        self._processes = processes
        self._living: set[Worker] = set()
        self.workers: set[Worker] = set()
        """The processes that are ready."""

    async def read(self, raw: Unread, specs: Specs, limit: int, deadline: Deadline) -> InferRequest:
        """Read in another process; what is compressed is inflated on the way. Raises ProtocolError."""
        self._begin(at_once=False)
        if raw.size <= HEAVY:
            try:
                return await self._line.run(partial(_read, raw, specs, min(limit, HEAVY)), raw.size, deadline)
            except TooLarge:
                # It is compressed, and not as small as it looks.
                if limit <= HEAVY:
                    raise
        return await self._line.run(partial(_read, raw, specs, limit), max(raw.size, HEAVY + 1), deadline)

    async def write(
        self,
        write: Write,
        model: str,
        request: InferRequest,
        results: Mapping[str, Array],
        size: int,
        deadline: Deadline,
    ) -> Answer:
        """Have `write` called in another process, for an answer of about `size` bytes. Raises ProtocolError."""
        self._begin(at_once=False)
        # The request's own arrays need not go along.
        bare = InferRequest(request.id, {}, request.outputs)
        return await self._line.run(partial(_write, write, model, bare, dict(results), size), size, deadline)

    def start(self, wait: float = 0.0) -> None:
        """Start the processes, so that no request waits for it; gives them `wait` seconds to be there."""
        self._begin(at_once=True)
        deadline = monotonic() + wait
        while len(self.workers) < self._processes and monotonic() < deadline:
            sleep(0.01)

    def close(self, seconds: float) -> None:
        """End the processes."""
        with self._lock:
            self._closed = True
            workers = tuple(self._living)
        self._line.close()
        for worker in workers:
            self._end(worker)
        deadline = monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - monotonic()))

    def _begin(self, at_once: bool) -> None:
        if self._threads or self._closed:
            return
        for number in range(self._processes):
            heavy = number < max(1, self._processes - 1)
            self._threads.append(Thread(target=self._serve, args=(heavy, at_once), name=f"chrion-codec-{number}"))
            self._threads[-1].daemon = True
            self._threads[-1].start()

    def _serve(self, heavy: bool, at_once: bool) -> None:
        worker: Worker | None = None
        if at_once:
            with suppress(CodecLost):
                worker = self._started()
        while (job := self._line.take(heavy)) is not None:
            worker = self._do(job, worker)
            del job

    def _do(self, job: CodecJob, worker: Worker | None) -> Worker | None:
        """Do a job and tell who waits for it; gives the process that is there afterwards."""
        for _ in range(2):
            if not job.wanted:
                return worker
            try:
                worker = self._ready(worker)
                job.deliver(job.work(worker), None)
            except WorkerFailed as error:
                job.deliver(None, AnswerFailed(str(error)))
            except (WorkerDied, WorkerOutOfMemory, WorkerTimeout) as error:
                assert worker is not None
                self._end(worker)
                worker = None
                if not isinstance(error, WorkerOutOfMemory):
                    # It was killed, perhaps by someone else, or has hung: the body has another try.
                    continue
                job.deliver(None, TooCostly(_TOO_COSTLY))
            except Exception as error:  # noqa: BLE001, who waits gets it
                job.deliver(None, error)
            return worker
        job.deliver(None, CodecLost())
        return None

    def _ready(self, worker: Worker | None) -> Worker:
        """The process, or a new one in place of one that has ended or stands still. Raises CodecLost."""
        if worker is not None:
            try:
                worker.call(remote.ready, seconds=READY_SECONDS, what=WHAT)
            except ChrionError:
                self._end(worker)
            else:
                return worker
        return self._started()

    def _started(self) -> Worker:
        try:
            worker = Worker(MEMORY, _ONE_THREAD, ready_for=remote.ready)
        except OSError:  # no more processes or files
            raise CodecLost from None
        with self._lock:
            self._living.add(worker)
            closed = self._closed
        try:
            if closed:
                raise CodecLost
            worker.call(remote.ready, seconds=START_SECONDS, what=WHAT)
        except ChrionError:
            self._end(worker)
            raise CodecLost from None
        self.workers.add(worker)
        return worker

    def _end(self, worker: Worker) -> None:
        with self._lock:
            self._living.discard(worker)
            self.workers.discard(worker)
        with suppress(OSError):
            worker.kill()


def _read(raw: Unread, specs: Specs, limit: int, worker: Worker) -> InferRequest:
    # zlib lets other threads run, so inflating may as well be done here, and errors keep their own types.
    plain = raw.plain(limit)
    return worker.call(remote.read, plain, specs, seconds=_seconds(plain.size), what=WHAT)


def _write(
    write: Write, model: str, request: InferRequest, results: Mapping[str, Array], size: int, worker: Worker
) -> Answer:
    return worker.call(remote.write, write, model, request, results, seconds=_seconds(size), what=WHAT)


def _seconds(size: int) -> float:
    return WORK_SECONDS + size * SECONDS_PER_BYTE
