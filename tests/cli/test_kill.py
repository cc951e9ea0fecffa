"""What clients see, and what is left, when a server under load is told to end, or is killed."""

import http.client
import json
import math
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.support.waiting import wait_until

CLIENTS = 6
WAIT_SECONDS = 120.0


class Client:
    """Asks a server again and again over one connection, which it opens again where it was lost."""

    def __init__(self, port, name, body):
        self.port, self.path, self.body = port, f"/v2/models/{name}/infer", body
        self.answers = []
        """(when its request was sent, status, body)"""
        self.losses = []
        """(when its request was sent, or None where there was no connection; the error)"""
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.stop.is_set():
            connection, sent = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60), None
            try:
                connection.connect()
                while not self.stop.is_set():
                    sent = None
                    connection.request("POST", self.path, self.body)
                    sent = time.monotonic()
                    response = connection.getresponse()
                    self.answers.append((sent, response.status, response.read()))
            except (OSError, http.client.HTTPException) as error:
                self.losses.append((sent, error))
                time.sleep(0.01)
            finally:
                connection.close()


def shared():
    """Whatever lies in shared memory that could be a server's: all but what this process made."""
    return {path.name for path in Path("/dev/shm").glob("*") if "chrion" in path.name or "psm_" in path.name}


@pytest.fixture
def folder(tmp_path):
    """The server's folder for temporary files."""
    path = tmp_path / "tmp"
    path.mkdir()
    return path


@pytest.fixture
def start(chrion, model, plan_file, folder):
    """Starts a server on a port, and waits until it serves."""
    started = []

    def server(port=0):
        process = type(chrion)(chrion.cache, {"TMPDIR": str(folder)}).start(
            "serve", model, "--plan", plan_file, "--port", str(port), "--metrics-port", "-1"
        )
        started.append(process)
        line = process.wait_for("serving on http://")
        return process, int(line.split("/")[2].rpartition(":")[2])

    yield server
    for process in started:
        if process.popen.poll() is None:
            process.signal(signal.SIGKILL)
        process.end()


@pytest.fixture
def load(model, shape):
    """Starts clients of a port."""
    sizes = [int(size) for size in shape.partition("=")[2].split("x")]
    count = math.prod(sizes)
    tensor = {"name": "input", "datatype": "FP32", "shape": sizes, "data": [0.5] * count}
    body = json.dumps({"inputs": [tensor]})
    clients = []

    def begin(port):
        clients.extend(Client(port, model.stem, body) for _ in range(CLIENTS))
        return clients

    yield begin
    for client in clients:
        client.stop.set()
    for client in clients:
        client.thread.join(WAIT_SECONDS)


@pytest.fixture
def nothing_left(folder):
    """Checks that nothing is left behind in memory or in the folder for temporary files."""
    before = shared()

    def check(process):
        process.wait_for_no_survivors()
        assert list(folder.iterdir()) == []
        assert shared() <= before

    return check


def test_sigterm_under_load_answers_all_that_was_sent_before(start, load, nothing_left):
    process, port = start()
    clients = load(port)
    wait_until(lambda: all(len(client.answers) >= 20 for client in clients), "the server answers")
    told = time.monotonic()
    process.popen.send_signal(signal.SIGTERM)
    wait_until(lambda: all(client.losses for client in clients), "the server takes no more connections")
    assert process.end() == 0
    for client in clients:
        client.stop.set()
    for client in clients:
        client.thread.join(WAIT_SECONDS)
    assert "Traceback" not in process.err
    bodies = {body for client in clients for _, status, body in client.answers if status == 200}
    assert len(bodies) == 1, "every answer is whole"
    assert {status for client in clients for _, status, _ in client.answers} <= {200, 503}
    lost = [loss for client in clients for loss in client.losses if loss[0] is not None and loss[0] < told]
    assert lost == []
    nothing_left(process)


def test_killed_under_load_and_started_again_on_the_same_port(start, load, nothing_left):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process, _ = start(port)
    clients = load(port)
    wait_until(lambda: all(len(client.answers) >= 20 for client in clients), "the server answers")
    process.popen.kill()
    assert process.end() == -signal.SIGKILL
    wait_until(lambda: all(client.losses for client in clients), "clients notice")
    nothing_left(process)
    again, _ = start(port)
    before = [len(client.answers) for client in clients]
    wait_until(
        lambda: all(len(client.answers) >= old + 20 for client, old in zip(clients, before, strict=True)),
        "the new server answers",
    )
    assert len({body for client in clients for _, _, body in client.answers}) == 1
    assert {status for client in clients for _, status, _ in client.answers} == {200}
    for client in clients:
        client.stop.set()
    for client in clients:
        client.thread.join(WAIT_SECONDS)
    again.popen.send_signal(signal.SIGTERM)
    assert again.end() == 0
    nothing_left(again)
