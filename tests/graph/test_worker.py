"""A worker's child may hang, crash, eat memory or outlive nobody: the parent gets one clear error and goes on."""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from select import select
from typing import Any

import pytest

import chrion_graph
from chrion_api import ChrionError, InvalidField
from chrion_graph.errors import InvalidModel, LimitExceeded, ModelError
from chrion_graph.model_worker import ModelWorker, isolated
from chrion_graph.worker import (
    ForkServer,
    Worker,
    WorkerDied,
    WorkerError,
    WorkerFailed,
    WorkerKilled,
    WorkerOutOfMemory,
    WorkerTimeout,
)
from tests.support.waiting import wait_until

# The child imports what it runs by name; these live in a module that it can find.
FUNCTIONS = """
import os, signal, sys, time
from chrion_api import ChrionError, InvalidField

def add(a, b): return a + b
def pid(): return os.getpid()
def hang(): time.sleep(3600)
def abort(): os.abort()
def length(value): return len(value)
def echo(value): return value
def report_and_answer(size, report):
    report("it is here")
    return "a" * size
def leave(code): os._exit(code)
def be_killed(): os.kill(os.getpid(), signal.SIGKILL)
def eat(count): return len(bytearray(count))
def complain(): raise ChrionError("the moon is full")
def complain_of_a_field(): raise InvalidField("spec.slo.latency", "is no duration")
def break_down(): raise RuntimeError("two\\nlines")
def count(n, report):
    for i in range(n):
        report({"step": i})
    return n
def say(text):
    print(text)
    print(text, file=sys.stderr)
    return "said"
"""


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The functions above as a module."""
    folder = tmp_path_factory.mktemp("functions")
    (folder / "worker_functions.py").write_text(FUNCTIONS, encoding="utf-8")
    sys.path.insert(0, str(folder))
    import worker_functions  # type: ignore[import-not-found]

    yield worker_functions
    sys.path.remove(str(folder))


def alive(pid: int) -> bool:
    """Whether the process runs (a zombie does not)."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_takes_one_call_after_another(functions: Any) -> None:
    with Worker() as worker:
        assert worker.call(functions.add, 2, 3, seconds=60, what="adding") == 5
        assert worker.call(functions.pid, seconds=60, what="asking") == worker.pid != os.getpid()
        with pytest.raises(ChrionError, match=r"^the moon is full$"):
            worker.call(functions.complain, seconds=60, what="complaining")
        assert worker.call(functions.add, "a", "b", seconds=60, what="adding") == "ab"
    assert not alive(worker.pid)


def test_errors_keep_their_type(functions: Any) -> None:
    with pytest.raises(InvalidField) as caught:
        isolated(functions.complain_of_a_field, memory_bytes=None, seconds=60, what="it")
    assert caught.value.path == "spec.slo.latency"
    with pytest.raises(WorkerFailed, match=r"^RuntimeError: two lines$"):
        isolated(functions.break_down, memory_bytes=None, seconds=60, what="it")


def test_reports_arrive_in_order(functions: Any) -> None:
    found: list[dict[str, int]] = []
    with Worker() as worker:
        assert worker.call(functions.count, 100, seconds=60, what="counting", report=found.append) == 100
    assert found == [{"step": index} for index in range(100)]


def test_what_the_child_prints_goes_nowhere(functions: Any, capfd: pytest.CaptureFixture[str]) -> None:
    assert isolated(functions.say, "boo", memory_bytes=None, seconds=60, what="saying") == "said"
    assert capfd.readouterr() == ("", "")


def test_a_child_that_hangs_is_killed_at_its_deadline(functions: Any) -> None:
    with ModelWorker() as worker:
        worker.call(functions.pid, seconds=60, what="starting")
        with pytest.raises(LimitExceeded, match=r"^waiting did not finish within 0\.2 s; raise --max-seconds$"):
            worker.call(functions.hang, seconds=0.2, what="waiting")
        assert not alive(worker.pid)


def test_one_that_is_stopped_takes_no_longer_to_be_sent_to_or_heard_from(functions: Any) -> None:
    large = b"a" * (8 << 20)
    with Worker() as worker:
        worker.call(functions.pid, seconds=60, what="starting")
        os.kill(worker.pid, signal.SIGSTOP)
        with pytest.raises(WorkerTimeout, match=r"^sending did not finish within 0\.2 s"):
            worker.call(functions.length, large, seconds=0.2, what="sending")
        assert not worker.alive
    with Worker() as worker:
        worker.call(functions.pid, seconds=60, what="starting")

        def stop_amid_the_answer(_: Any) -> None:
            assert select([worker._pipe], [], [], 60)[0]  # it answers, more than fits into the pipe
            os.kill(worker.pid, signal.SIGSTOP)

        with pytest.raises(WorkerTimeout, match=r"^hearing did not finish within 1 s"):
            worker.call(functions.report_and_answer, len(large), seconds=1, what="hearing", report=stop_amid_the_answer)
        assert not worker.alive


def test_large_buffers_arrive_whole(functions: Any) -> None:
    large = bytearray(os.urandom(8 << 20))
    with Worker() as worker:
        buffers = [pickle.PickleBuffer(memoryview(large)[start:]) for start in (0, 5)]
        assert worker.call(functions.length, buffers[0], seconds=60, what="sending") == len(large)
        assert worker.call(functions.echo, buffers[1], seconds=60, what="echoing") == large[5:]
        assert worker.call(functions.echo, [], seconds=60, what="echoing") == []


def test_memory_is_held_to_its_limit(functions: Any) -> None:
    with ModelWorker(memory_bytes=1 << 30) as worker:
        assert worker.call(functions.eat, 1 << 20, seconds=60, what="eating") == 1 << 20
        with pytest.raises(LimitExceeded, match=r"^eating needs more memory than the limit allows; raise --max-memory"):
            worker.call(functions.eat, 1 << 40, seconds=60, what="eating")
        assert worker.call(functions.eat, 1 << 20, seconds=60, what="eating") == 1 << 20


def test_a_crash_names_its_signal(functions: Any) -> None:
    with pytest.raises(InvalidModel, match=r"^loading ended the process \(SIGABRT\); the model is damaged"):
        isolated(functions.abort, memory_bytes=None, seconds=60, what="loading")
    with pytest.raises(InvalidModel, match=r"^loading ended the process \(exit code 3\)"):
        isolated(functions.leave, 3, memory_bytes=None, seconds=60, what="loading")
    with pytest.raises(LimitExceeded, match=r"^loading was killed, most likely because memory ran out"):
        isolated(functions.be_killed, memory_bytes=None, seconds=60, what="loading")


@pytest.mark.parametrize(
    ("kind", "name", "arguments", "text"),
    [
        (WorkerDied, "abort", (), "parsing ended the process (SIGABRT)"),
        (WorkerKilled, "be_killed", (), "parsing was killed"),
        (WorkerTimeout, "hang", (), "parsing did not finish within 3 s"),
        (WorkerOutOfMemory, "eat", (1 << 40,), "parsing needs more memory than the limit allows (MemoryError)"),
    ],
)
def test_without_a_model_the_error_speaks_of_none(
    functions: Any, kind: type[WorkerError], name: str, arguments: tuple[int, ...], text: str
) -> None:
    with Worker(memory_bytes=1 << 30) as worker, pytest.raises(kind) as caught:
        worker.call(getattr(functions, name), *arguments, seconds=3 if name == "hang" else 60, what="parsing")
    assert str(caught.value) == text
    assert not isinstance(caught.value, ModelError)
    assert repr(pickle.loads(pickle.dumps(caught.value))) == repr(caught.value)


def test_the_environment_reaches_the_child() -> None:
    with Worker(environment={"CHRION_TEST": "yes"}) as worker:
        assert worker.call(os.getenv, "CHRION_TEST", seconds=60, what="asking") == "yes"


def test_the_child_imports_beforehand_what_it_will_be_asked(functions: Any) -> None:
    with Worker(ready_for=functions.add) as worker:
        imported = worker.call(eval, "'worker_functions' in __import__('sys').modules", seconds=60, what="asking")
        assert imported
        assert worker.call(functions.add, 1, 1, seconds=60, what="adding") == 2


def test_the_child_ignores_the_keyboard(functions: Any) -> None:
    with Worker() as worker:
        worker.call(functions.pid, seconds=60, what="starting")
        os.kill(worker.pid, signal.SIGINT)
        assert worker.call(functions.add, 1, 1, seconds=60, what="adding") == 2


def test_the_child_dies_with_its_parent(tmp_path: Path) -> None:
    program = """
import time
from chrion_graph.worker import Worker
with Worker() as worker:
    worker.call(str, 1, seconds=60, what="starting")
    print(worker.pid, flush=True)
    worker.call(time.sleep, 3600, seconds=3600, what="sleeping")
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(chrion_graph.__file__).parents[1])}
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert alive(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not alive(child), "the child is gone")


@pytest.fixture(scope="module")
def server(functions: Any) -> Iterator[ForkServer]:
    """A server whose forks have the functions."""
    with closing(ForkServer(functions.add)) as forking:
        yield forking


def test_a_fork_is_as_any_worker(functions: Any, server: ForkServer) -> None:
    with Worker(server=server) as one, Worker(server=server) as other:
        assert one.call(functions.add, 2, 3, seconds=60, what="adding") == 5
        pids = [worker.call(functions.pid, seconds=60, what="asking") for worker in (one, other)]
        assert pids == [one.pid, other.pid]
        with pytest.raises(ChrionError, match=r"^the moon is full$"):
            one.call(functions.complain, seconds=60, what="complaining")
        assert one.alive
        imported = one.call(eval, "'worker_functions' in __import__('sys').modules", seconds=60, what="asking")
        assert imported
    assert not alive(one.pid)
    assert not alive(other.pid)


def test_nothing_is_forked_that_has_threads(functions: Any, server: ForkServer) -> None:
    with Worker(server=server) as worker:
        assert len(worker.call(os.listdir, "/proc/self/task", seconds=60, what="counting")) == 1


@pytest.mark.parametrize(
    ("kind", "name", "arguments", "text"),
    [
        (WorkerDied, "abort", (), "parsing ended the process (SIGABRT)"),
        (WorkerDied, "leave", (3,), "parsing ended the process (exit code 3)"),
        (WorkerKilled, "be_killed", (), "parsing was killed"),
        (WorkerTimeout, "hang", (), "parsing did not finish within 1 s"),
        (WorkerOutOfMemory, "eat", (1 << 40,), "parsing needs more memory than the limit allows (MemoryError)"),
    ],
)
def test_a_fork_that_fails_says_the_same_and_harms_no_other(
    functions: Any, server: ForkServer, kind: type[WorkerError], name: str, arguments: tuple[int, ...], text: str
) -> None:
    with Worker(server=server) as other, Worker(memory_bytes=1 << 30, server=server) as worker:
        with pytest.raises(kind) as caught:
            worker.call(getattr(functions, name), *arguments, seconds=1 if name == "hang" else 60, what="parsing")
        assert str(caught.value) == text
        assert other.call(functions.add, 1, 1, seconds=60, what="adding") == 2


def test_forks_end_with_their_server(functions: Any) -> None:
    with closing(ForkServer(functions.add)) as server:
        worker = Worker(server=server)
        worker.call(functions.pid, seconds=60, what="starting")
    wait_until(lambda: not alive(worker.pid), "the fork is gone")
    assert not worker.alive
    with pytest.raises(WorkerKilled, match=r"^adding was killed$"):
        worker.call(functions.add, 1, 1, seconds=60, what="adding")
    with pytest.raises(WorkerDied, match=r"^the process that starts workers has ended$"):
        Worker(server=server)


def test_servers_and_forks_die_with_their_parent(tmp_path: Path) -> None:
    program = """
import time
from contextlib import closing
from chrion_graph.worker import ForkServer, Worker
with closing(ForkServer()) as server, Worker(server=server) as worker:
    worker.call(str, 1, seconds=60, what="starting")
    print(server.pid, worker.pid, flush=True)
    worker.call(time.sleep, 3600, seconds=3600, what="sleeping")
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(chrion_graph.__file__).parents[1])}
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment)
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert all(map(alive, pids))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not any(map(alive, pids)), "server and fork are gone")
