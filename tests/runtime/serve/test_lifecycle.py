"""Listening, draining and leaving, with real processes and real signals."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import aiohttp
import orjson
import pytest

from chrion_runtime.errors import RuntimeFailure
from chrion_runtime.serve.addresses import CannotListen
from chrion_runtime.serve.lifecycle import serve
from chrion_runtime.serve.options import ServerOptions
from tests.support.waiting import wait_until

SCRIPT = """
import os, sys
import numpy as np
from chrion_runtime.servable import TensorSpec
from chrion_runtime.serve.lifecycle import serve
from chrion_runtime.serve.options import ServerOptions

def say(*words):
    print(*words, flush=True)

class Slow:
    # Runs until something comes in on stdin.
    name = "slow"
    inputs = outputs = (TensorSpec("x", np.dtype("<i8"), (None,)),)
    concurrency = 1
    state = {}
    deciding = frozenset()
    ready = True
    hop_seconds = 0.0
    deadline = None

    def run(self, inputs, outputs=None, sequence=None, observer=None, stop=None):
        say("running")
        os.read(0, 1)
        return dict(inputs)

    def describe_plan(self):
        return {}

    def answered(self, seconds):
        pass

    def figures(self):
        return []

    def observe(self, observer):
        pass

    def close(self):
        say("closed")

def on_listening(where):
    say("listening", where.port, where.metrics_port, where.url, where.metrics_url)

drain, leave = map(float, sys.argv[1:])
serve([Slow()], ServerOptions(port=0, metrics_port=0, drain_seconds=drain, leave_seconds=leave), on_listening)
say("switch interval", round(sys.getswitchinterval(), 9))
"""


@pytest.fixture(autouse=True)
def _switch_interval():
    interval = sys.getswitchinterval()
    yield
    sys.setswitchinterval(interval)


BODY = orjson.dumps({"inputs": [{"name": "x", "datatype": "INT64", "shape": [1], "data": [7]}]})


@contextmanager
def process(drain=3600, leave=0):
    """The script as a process, and the ports it listens on."""
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(drain), str(leave)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        words = child.stdout.readline().split()
        assert words[0] == "listening"
        port, metrics_port = int(words[1]), int(words[2])
        assert words[3:] == [f"http://127.0.0.1:{port}", f"http://127.0.0.1:{metrics_port}/metrics"]
        yield child, port, metrics_port
    finally:
        child.kill()
        child.communicate()


def ask(port, box):
    async def main():
        url = f"http://127.0.0.1:{port}/v2/models/slow/infer"
        async with aiohttp.ClientSession() as session, session.post(url, data=BODY) as response:
            box["answer"] = response.status, response.headers.get("Connection"), await response.json()

    with_client = threading.Thread(target=lambda: asyncio.run(main()))
    with_client.start()
    return with_client


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_requests_in_flight_finish(http, number):
    with process() as (child, port, metrics_port):
        box = {}
        client = ask(port, box)
        assert child.stdout.readline() == "running\n"
        child.send_signal(number)
        ready = f"http://127.0.0.1:{metrics_port}/v2/health/ready"
        while (answer := http("GET", ready)).status == 200:
            pass
        assert answer.status == 503
        assert "shutting down" in answer.json["error"]
        assert http("GET", f"http://127.0.0.1:{metrics_port}/v2/health/live").status == 200
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        assert not box
        child.stdin.write("go on\n")
        child.stdin.flush()
        client.join()
        status, connection, answer = box["answer"]
        assert (status, connection) == (200, "close")
        assert answer["outputs"][0]["data"] == [7]
        out, err = child.communicate(timeout=60)
        assert child.returncode == 0
        assert out == "closed\nswitch interval 5e-05\n"
        assert err == ""


def children(pid):
    """The processes that another one started, and that have not ended."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def ended(pid):
    try:
        return "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True


def ignores_the_keyboard(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return bool(int(status.partition("SigIgn:")[2].split()[0], 16) & 1 << signal.SIGINT - 1)


def large(port, answers):
    """Ask with JSON that another process reads."""
    tensor = {"name": "x", "datatype": "INT64", "shape": [400_000], "data": [7] * 400_000}
    connection = HTTPConnection("127.0.0.1", port, timeout=100)
    connection.request("POST", "/v2/models/slow/infer", orjson.dumps({"inputs": [tensor]}))
    answers.append(connection.getresponse().status)
    connection.close()


def test_a_signal_while_the_processes_for_large_json_stand_still():
    with process() as (child, port, _):
        # Started at once, and not by the first request.
        wait_until(lambda: len(children(child.pid)) == 2)
        child.stdin.write("go")
        child.stdin.flush()
        answers = []
        large(port, answers)
        stopped = children(child.pid)
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        asking = threading.Thread(target=large, args=(port, answers))
        asking.start()
        wait_until(lambda: set(children(child.pid)) != set(stopped))
        child.send_signal(signal.SIGTERM)
        asking.join()
        assert answers == [200, 200]
        assert child.wait(60) == 0
        assert all(map(ended, stopped))


def test_processes_for_large_json_do_not_outlive_a_server_that_is_killed():
    with process() as (child, _, _):
        wait_until(lambda: len(children(child.pid)) == 2)
        found = children(child.pid)
        # By then they have asked to be killed with their parent.
        wait_until(lambda: all(map(ignores_the_keyboard, found)))
        os.kill(found[0], signal.SIGSTOP)
        child.kill()
        wait_until(lambda: all(map(ended, found)))


def test_a_signal_to_an_idle_server_with_an_open_connection():
    with process() as (child, port, _), socket.create_connection(("127.0.0.1", port)) as idle:
        idle.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n")
        assert idle.recv(65536).startswith(b"HTTP/1.1 200 OK")
        child.send_signal(signal.SIGTERM)
        assert idle.recv(65536) == b""
        out, _ = child.communicate(timeout=60)
        assert (child.returncode, out.splitlines()[0]) == (0, "closed")


def test_connections_are_taken_for_a_while_and_closed_with_their_answers():
    get = b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n"

    def answer(connection):
        found = b""
        while part := connection.recv(65536):
            found += part
        return found

    with process(leave=3600) as (child, port, metrics_port):
        kept = socket.create_connection(("127.0.0.1", port))
        kept.sendall(get)
        assert b"Connection: close" not in kept.recv(65536)
        child.send_signal(signal.SIGTERM)
        while True:
            with socket.create_connection(("127.0.0.1", metrics_port)) as probe:
                probe.sendall(get.replace(b"live", b"ready").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
                if answer(probe).startswith(b"HTTP/1.1 503"):
                    break
        for connection in (kept, socket.create_connection(("127.0.0.1", port))):
            with connection:
                connection.sendall(get)
                found = answer(connection)
                assert found.startswith(b"HTTP/1.1 200 OK")
                assert b"Connection: close" in found
        child.send_signal(signal.SIGTERM)
        out, _ = child.communicate(timeout=60)
        assert (child.returncode, out.splitlines()[0]) == (0, "closed")


@pytest.mark.parametrize("signals", [1, 2])
def test_a_run_that_does_not_end_is_left(signals):
    with process(drain=0.2 if signals == 1 else 3600) as (child, port, _):
        connection = socket.create_connection(("127.0.0.1", port))
        head = f"POST /v2/models/slow/infer HTTP/1.1\r\nHost: a\r\nContent-Length: {len(BODY)}\r\n\r\n"
        connection.sendall(head.encode() + BODY)
        assert child.stdout.readline() == "running\n"
        child.send_signal(signal.SIGTERM)
        if signals == 2:
            assert connection_refused(port)
            child.send_signal(signal.SIGINT)
        child.wait(timeout=120)
        out, err = child.stdout.read(), child.stderr.read()
        connection.close()
        # Closed under a run it could crash, so it is not closed.
        assert "closed" not in out
        assert "requests of slow still running" in err
        assert "Traceback" not in err
        assert child.returncode == 0


def connection_refused(port):
    """Wait until nobody listens on the port: the first signal has been taken."""
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:
            continue  # it came in while the socket was being closed


def test_a_body_still_on_its_way_is_waited_for(serving, add, caplog):
    body = orjson.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]})
    head = f"POST /v2/models/add/infer HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
    with serving(add) as running:
        connection = socket.create_connection(("127.0.0.1", running.where.port))
        connection.sendall(head.encode() + body[:10])
        while not running.registry.in_flight:
            pass
        running.stop()
        assert connection_refused(running.where.port)
        connection.sendall(body[10:])
        answer = b""
        while part := connection.recv(65536):
            answer += part
        connection.close()
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"Connection: close" in answer
    # Connections that came in at that moment are no trouble.
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("which", ["port", "metrics_port"])
def test_a_port_in_use(add, which):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        options = ServerOptions(**({"port": 0, "metrics_port": 0} | {which: port}))
        with pytest.raises(CannotListen) as caught:
            serve([add], options, lambda where: pytest.fail("listening"))
    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1:{port}: the port is in use; choose another, or stop the program that uses it"
    )
    assert add.closed


@pytest.mark.parametrize(
    ("host", "port", "problem"),
    [
        ("192.0.2.1", 0, "cannot listen on 192.0.2.1:0: this machine has no such address"),
        ("no.such.host.invalid", 0, "this machine has no such address"),
        ("2001:db8::1", 8000, r"cannot listen on \[2001:db8::1\]:8000"),
        ("127.0.0.1", 70000, "the port must be from 0 to 65535"),
    ],
)
def test_addresses_that_cannot_be(add, host, port, problem):
    with pytest.raises(CannotListen, match=problem) as caught:
        serve([add], ServerOptions(host=host, port=port))
    assert "\n" not in str(caught.value)
    assert add.closed


def test_models_are_closed_when_serving_cannot_begin(add, make_model):
    twin = make_model(dict, {}, {}, name="add")
    with pytest.raises(RuntimeFailure):
        serve([add, twin])
    assert add.closed
    assert twin.closed


def test_no_second_port(add):
    seen = []

    def on_listening(where):
        seen.append(where)
        os.kill(os.getpid(), signal.SIGTERM)

    serve([add], ServerOptions(port=0, metrics_port=None), on_listening)
    assert seen[0].port > 0
    assert seen[0].metrics_port is seen[0].metrics_url is None
    assert add.closed
