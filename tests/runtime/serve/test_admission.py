"""Who is let in, and who cannot hold anything: deadlines, limits, and clients that are slow."""

import asyncio
import socket
import threading
from contextlib import closing, contextmanager
from pathlib import Path

import aiohttp
import numpy as np
import orjson
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from chrion_runtime.serve.admission.deadline import allowed, least
from chrion_runtime.serve.admission.departure_rate import DepartureRate
from chrion_runtime.serve.admission.margin import AdmissionMargin
from chrion_runtime.serve.admission.run_times import MOST_KINDS, RunTimes, ShortRuns
from chrion_runtime.serve.admission.thread_clock import ThreadClock
from tests.support.waiting import wait_until

BODY = orjson.dumps({"inputs": [{"name": "x", "datatype": "INT64", "shape": [1], "data": [7]}]})
HEAD = b"POST /v2/models/gate/infer HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


@contextmanager
def counting():
    yield descriptors()


@pytest.fixture
def busy(serving, make_gate, http):
    """A server of a slow model with one request under way; `busy(deadline)` gives the server, the gate and a URL."""
    stack = []

    def start(**options):
        gate = make_gate(concurrency=1, **options)
        context = serving(gate.model)
        running = context.__enter__()
        stack.append((context, gate))
        url = f"{running.where.url}/v2/models/gate/infer"
        # The first run shows what runs take.
        first = threading.Thread(target=http, args=("POST", url), kwargs={"data": BODY})
        first.start()
        assert gate.entered.acquire(timeout=60)
        threading.Event().wait(0.3)
        gate.open.set()
        first.join()
        gate.open.clear()
        under_way = threading.Thread(target=http, args=("POST", url), kwargs={"data": BODY})
        under_way.start()
        assert gate.entered.acquire(timeout=60)
        return running, gate, url

    yield start
    for context, gate in stack:
        gate.open.set()
        context.__exit__(None, None, None)


@pytest.mark.parametrize("name", ["X-Request-Timeout-Ms", "x-envoy-expected-rq-timeout-ms"])
def test_too_late_by_the_clients_header(busy, http, name):
    running, gate, url = busy()
    refused = http("POST", url, data=BODY, headers={name: "50"})
    assert refused.status == 503
    assert int(refused.headers["Retry-After"]) >= 1
    assert 'model "gate" would answer in' in refused.json["error"]
    gate.open.set()
    # Nothing is ahead of it: it runs, for only that can show that the model has become faster.
    model = running.registry.model("gate")
    wait_until(lambda: not model.queue.pending)
    assert http("POST", url, data=BODY, headers={name: "50"}).status == 200


def test_too_late_by_the_objective(busy, http):
    _, gate, url = busy(deadline=0.05)
    assert http("POST", url, data=BODY).status == 503
    # What the client says may only make it shorter.
    assert http("POST", url, data=BODY, headers={"X-Request-Timeout-Ms": "100000"}).status == 503
    gate.open.set()


def test_in_time(busy, http):
    running, gate, url = busy(deadline=100)
    waiting = threading.Thread(target=http, args=("POST", url), kwargs={"data": BODY})
    waiting.start()
    wait_until(lambda: running.registry.model("gate").queue.waiting == 1)
    gate.open.set()
    waiting.join()
    assert gate.model.runs == 3


def test_tritons_timeout(busy):
    running, gate, _ = busy()
    tensor = triton.InferInput("x", [1], "INT64")
    tensor.set_data_from_numpy(np.array([7]))
    with closing(triton.InferenceServerClient(running.address)) as client:
        with pytest.raises(InferenceServerException, match="would answer in"):
            client.infer("gate", [tensor], timeout=50_000)
        gate.open.set()
        assert client.infer("gate", [tensor], timeout=60_000_000).as_numpy("y") == [7]


def test_a_timeout_that_is_none(serving, make_gate, http):
    gate = make_gate()
    gate.open.set()
    with serving(gate.model) as running:
        url = f"{running.where.url}/v2/models/gate/infer"
        for value in ("soon", "-1", "1.5", ""):
            answer = http("POST", url, data=BODY, headers={"X-Request-Timeout-Ms": value})
            assert answer.status == 400
            assert "must be a number of milliseconds" in answer.json["error"]
        for value in ("soon", -1, 1.5, True):
            wrong = {**orjson.loads(BODY), "parameters": {"timeout": value}}
            assert http("POST", url, json=wrong).status == 400
        # 0 is no timeout, as Triton has it; and nobody's client sets Envoy's header.
        none = {"X-Request-Timeout-Ms": "0", "X-Envoy-Expected-Rq-Timeout-Ms": "soon"}
        assert http("POST", url, data=BODY, headers=none).status == 200


def test_deadlines():
    assert allowed({}) is None
    assert allowed({"x-request-timeout-ms": "1500", "x-envoy-expected-rq-timeout-ms": "300"}) == 0.3
    assert least(None, None) is None
    assert least(None, 3.0, 2.0) == 2.0


def test_bodies_in_flight_are_bounded(serving, make_gate, http):
    gate = make_gate(concurrency=1)
    with serving(gate.model, bodies_limit=2 * len(BODY)) as running:
        url = f"{running.where.url}/v2/models/gate/infer"
        threads = [threading.Thread(target=http, args=("POST", url), kwargs={"data": BODY}) for _ in range(2)]
        for thread in threads:
            thread.start()
        wait_until(lambda: running.registry.bodies.held == 2 * len(BODY))
        refused = http("POST", url, data=BODY)
        assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
        gate.open.set()
        for thread in threads:
            thread.join()
        assert http("POST", url, data=BODY).status == 200
        wait_until(lambda: running.registry.bodies.held == 0)


@pytest.mark.parametrize("before", [b"", b"GET /v2 HTTP/1.1\r\nHost: a\r\n\r\n"], ids=["at once", "after another"])
def test_a_body_that_does_not_come(serving, make_gate, http, before):
    gate = make_gate()
    gate.open.set()
    with serving(gate.model, read_seconds=0.2) as running:
        with socket.create_connection(("127.0.0.1", running.where.port), timeout=60) as slow:
            if before:
                slow.sendall(before)
                slow.recv(65536)
            slow.sendall(HEAD % len(BODY) + BODY[:10])
            received = b""
            while part := slow.recv(65536):
                received += part
        assert received.startswith(b"HTTP/1.1 408 ")
        assert http("POST", f"{running.where.url}/v2/models/gate/infer", data=BODY).status == 200
        wait_until(lambda: running.registry.bodies.held == 0)


@pytest.mark.parametrize("start", [b"", b"POST /v2/models/gate/infer HTT", HEAD[:-2] % 5])
def test_a_head_that_does_not_come(serving, make_gate, start):
    gate = make_gate()
    with (
        serving(gate.model, idle_seconds=0.2) as running,
        socket.create_connection(("127.0.0.1", running.where.port), timeout=60) as slow,
    ):
        slow.sendall(start)
        assert slow.recv(65536) == b""


def test_a_request_that_takes_longer_than_connections_may_idle(serving, make_gate, http):
    gate = make_gate()
    with (
        serving(gate.model, idle_seconds=0.1) as running,
        socket.create_connection(("127.0.0.1", running.where.port), timeout=60) as client,
    ):
        client.sendall(HEAD % len(BODY) + BODY)
        assert gate.entered.acquire(timeout=60)
        threading.Event().wait(0.4)
        gate.open.set()
        assert client.recv(65536).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("before", [b"", b"GET /v2 HTTP/1.1\r\nHost: a\r\n\r\n"], ids=["at once", "after another"])
def test_a_client_that_does_not_read(serving, make_model, before):
    zeros = np.zeros(8_000_000)
    model = make_model(lambda x: {"y": zeros}, {"x": ("INT64", (None,))}, {"y": ("FP64", (None,))}, name="gate")
    content = orjson.dumps({**orjson.loads(BODY), "parameters": {"binary_data_output": True}})
    with (
        serving(model, write_seconds=0.2) as running,
        counting() as alone,
        socket.create_connection(("127.0.0.1", running.where.port), timeout=60) as client,
    ):
        if before:
            client.sendall(before)
            client.recv(65536)
        wait_until(lambda: descriptors() == alone + 2)
        client.sendall(HEAD % len(content) + content)
        wait_until(lambda: descriptors() == alone + 1)
        wait_until(lambda: not running.registry.in_flight)
        assert running.registry.bodies.held == 0
        received = 0
        while part := client.recv(1 << 20):
            received += len(part)
        assert 0 < received < zeros.nbytes


def test_run_times():
    times = RunTimes()
    assert times.expected(100) is None
    times.ran(100, 1e-4)
    assert times.expected(100) == 1e-4
    assert times.expected(100_000) is None, "of other sizes nothing is known"


def test_short_runs():
    short = ShortRuns(1e-3)
    assert not short.fit_here("a", 0.0)
    short.ran("a", 5e-3)
    assert not short.fit_here("a", 0.0)
    short.ran("a", 1e-4)
    assert short.short("a")
    assert short.fit_here("a", 0.0)
    assert not short.fit_here("b", 0.0), "of other kinds nothing is known"
    assert not short.fit_here(None, 0.0)


def test_what_clients_make_up_does_not_pile_up():
    short = ShortRuns(1e-3)
    for number in range(10 * MOST_KINDS):
        short.ran("often", 1e-4)
        short.ran(("once", number), 1e-4)
    assert short.fit_here("often", 0.0)
    assert not short.fit_here(("once", 0), 0.0)


def test_a_model_that_turns_slow_leaves_the_event_loop_and_may_come_back():
    short = ShortRuns(1e-3)
    short.ran("a", 1e-4)
    now, slow = 0.0, 0
    while short.fit_here("a", now):
        short.ran_here("a", 0.1, now)
        slow += 1
        now += 0.01
    assert slow <= 4
    short.ran("a", 1e-4)
    assert not short.fit_here("a", now)
    assert short.fit_here("a", now + 2), "once it has been fast on a thread, it is tried again"


def test_one_long_run_is_forgiven():
    short = ShortRuns(1e-3)
    short.ran_here("a", 1e-4, 0.0)
    short.ran_here("a", 0.1, 0.0)
    assert short.fit_here("a", 0.0)


def test_the_departure_rate_recovers():
    rate = DepartureRate()
    now = 0.0
    for seconds in (1.0, *[0.002] * 100):
        rate.begin(now)
        now += seconds
        rate.end(now)
    assert rate.seconds == pytest.approx(0.002, rel=0.2)
    assert rate.ahead == 0


def test_one_answer_that_was_held_up_costs_the_next_ones_little():
    rate = DepartureRate()
    now = 0.0
    for seconds in (*[0.003] * 30, 0.03):
        rate.begin(now)
        now += seconds
        rate.end(now)
    for _ in range(4):
        rate.begin(now)
    assert 4 * 0.003 < rate.wait < 8 * 0.003


def test_where_admitted_requests_come_too_late_fewer_are_admitted():
    margin = AdmissionMargin()
    widest = margin.part
    for _ in range(100):
        margin.ended(late=False)
    assert margin.part == widest
    for number in range(1000):
        margin.ended(late=number % 20 == 0)
    assert margin.part < widest / 2
    for _ in range(30):
        margin.idle()
    assert margin.part == pytest.approx(widest, rel=0.01)


def test_the_departure_rate_of_runs_side_by_side():
    rate = DepartureRate()
    rate.begin(0.0)
    rate.begin(0.0)
    for number in range(1, 40):
        # Two lanes, a second each: an answer every half second.
        rate.begin(number / 2)
        rate.end(number / 2)
    assert rate.seconds == pytest.approx(0.5, rel=0.05)


def test_a_burst_is_refused_at_once_and_the_rest_answered(serving, make_model):
    pause = threading.Event()

    def function(x):
        pause.wait(0.02)
        return {"y": x}

    model = make_model(
        function, {"x": ("INT64", (None,))}, {"y": ("INT64", (None,))}, name="gate", concurrency=1, deadline=0.5
    )

    async def main(url):
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def ask():
                async with session.post(url, data=BODY) as answer:
                    await answer.read()
                    return answer.status

            assert [await ask() for _ in range(3)] == [200] * 3
            statuses = await asyncio.gather(*(ask() for _ in range(200)))
            return statuses, await ask()

    with serving(model) as running:
        statuses, after = asyncio.run(main(f"{running.where.url}/v2/models/gate/infer"))
    assert set(statuses) == {200, 503}
    assert after == 200
    assert model.runs == 3 + statuses.count(200) + 1


def test_what_a_thread_waited_for_is_its_own():
    clock = ThreadClock()
    threading.Event().wait(0.01)
    assert clock.own(0.5) == 0.5
    clock = ThreadClock()
    assert clock.own(1000.0) < 1000.0, "it neither waited nor worked for so long"
