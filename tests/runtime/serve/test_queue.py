"""Many requests at once: each gets its own answer, a bounded number wait, and who leaves takes their request along."""

import asyncio
import gc
import threading
import weakref
from contextlib import suppress

import aiohttp
import numpy as np
import orjson
import pytest

from chrion_runtime.serve.admission.run_queue import RunQueue
from chrion_runtime.serve.protocol.errors import QueueFull
from tests.support.waiting import wait_until


def body(*values):
    return {"inputs": [{"name": "x", "datatype": "INT64", "shape": [len(values)], "data": values}]}


def test_distinct_inputs_get_their_own_answers(serving, make_model):
    model = make_model(lambda x: {"y": x * 2}, {"x": ("INT64", (None,))}, {"y": ("INT64", (None,))}, concurrency=4)

    async def main(url):
        async def ask(session, number):
            async with session.post(url, json=body(number, number + 1)) as response:
                data = orjson.loads(await response.read())["outputs"][0]["data"]
                return data == [2 * number, 2 * number + 2]

        async with aiohttp.ClientSession() as session:
            return await asyncio.gather(*(ask(session, number) for number in range(200)))

    with serving(model) as running:
        assert all(asyncio.run(main(f"{running.where.url}/v2/models/m/infer")))


def test_as_many_at_once_as_the_model_takes(serving, make_model):
    together = threading.Barrier(3)

    def function(x):
        together.wait(60)
        return {"y": x}

    model = make_model(function, {"x": ("INT64", (None,))}, {"y": ("INT64", (None,))}, concurrency=3)

    async def main(url):
        async with aiohttp.ClientSession() as session:
            answers = await asyncio.gather(*(session.post(url, json=body(number)) for number in range(3)))
            return [answer.status for answer in answers]

    with serving(model) as running:
        # With fewer than three threads the barrier would never fall.
        assert asyncio.run(main(f"{running.where.url}/v2/models/m/infer")) == [200, 200, 200]


def test_a_full_queue_and_an_event_loop_that_never_blocks(serving, make_gate, http):
    gate = make_gate(concurrency=1)

    async def main(where):
        url = f"{where.url}/v2/models/gate/infer"
        async with aiohttp.ClientSession() as session:
            tasks = [asyncio.create_task(session.post(url, json=body(0)))]
            await asyncio.to_thread(gate.entered.acquire)
            tasks += [asyncio.create_task(session.post(url, json=body(number))) for number in (1, 2)]
            model = running.registry.model("gate")
            await asyncio.to_thread(wait_until, lambda: model.queue.waiting == 2)
            async with session.post(url, json=body(3)) as refused:
                assert refused.status == 503
                assert refused.headers["Retry-After"] == "1"
                assert (await refused.json())["error"] == (
                    'model "gate" already has 2 requests waiting: try again later'
                )
            async with session.get(f"{where.url}/v2/health/live") as alive:
                assert alive.status == 200
            async with session.get(where.metrics_url) as metrics:
                text = await metrics.text()
                assert 'chrion_queue_length{model="gate"} 2.0' in text
                assert 'chrion_requests_in_flight{model="gate"} 3.0' in text
                assert 'chrion_request_seconds_count{model="gate",outcome="overloaded"} 1.0' in text
            gate.open.set()
            answers = await asyncio.gather(*tasks)
            return [orjson.loads(await answer.read())["outputs"][0]["data"] for answer in answers]

    with serving(gate.model, queue_limit=2) as running:
        assert asyncio.run(main(running.where)) == [[0], [1], [2]]


def test_clients_that_leave(serving, make_gate, http):
    gate = make_gate(concurrency=1)

    async def main(url, queue):
        async with aiohttp.ClientSession() as session:
            running = asyncio.create_task(session.post(url, json=body(0)))
            await asyncio.to_thread(gate.entered.acquire)
            waiting = [asyncio.create_task(session.post(url, json=body(number))) for number in (1, 2, 3)]
            await asyncio.to_thread(wait_until, lambda: queue.waiting == 3)
            for task in (waiting[0], waiting[2], running):
                task.cancel()
            # Those in line leave it; the one that runs cannot be stopped.
            await asyncio.to_thread(wait_until, lambda: queue.waiting == 1)
            gate.open.set()
            async with await waiting[1] as answer:
                return orjson.loads(await answer.read())["outputs"][0]["data"]

    with serving(gate.model) as running:
        queue = running.registry.model("gate").queue
        assert asyncio.run(main(f"{running.where.url}/v2/models/gate/infer", queue)) == [2]
        assert gate.model.runs == 2
        wait_until(lambda: queue.pending == 0)
        wait_until(lambda: b'chrion_requests_in_flight{model="gate"} 0.0' in metrics(http, running))
        assert b'outcome="gone"} 3.0' in metrics(http, running)


def metrics(http, running):
    return http("GET", running.where.metrics_url).body


class Big:
    """Something that can be watched going away."""


@pytest.fixture
def queue():
    waits = []
    queue = RunQueue("m", 1, 1, waits.append)
    queue.waits = waits
    yield queue
    assert queue.close(30)


def test_nothing_holds_a_request_that_is_done(queue):
    def work(big, error):
        if error:
            raise error("no")
        return np.zeros(3)

    def watched(error=None):
        big = Big()
        return weakref.ref(big), lambda: work(big, error)

    async def main():
        gone = []
        for error in (None, ValueError, StopIteration):
            reference, call = watched(error)
            with suppress(ValueError, RuntimeError):
                await queue.run(call)
            del call
            gone.append(reference)
        return gone

    gc.disable()
    try:
        references = asyncio.run(main())
        wait_until(lambda: queue.pending == 0)
        wait_until(lambda: all(reference() is None for reference in references))
    finally:
        gc.enable()
    assert len(queue.waits) == 3


def test_a_request_that_leaves_the_line_is_freed_while_others_run(queue):
    entered, door = threading.Event(), threading.Event()

    def stand():
        entered.set()
        assert door.wait(60)
        return "stood"

    async def main():
        running = asyncio.create_task(queue.run(stand))
        await asyncio.to_thread(entered.wait)
        big = Big()
        reference = weakref.ref(big)
        waiting = asyncio.create_task(queue.run(lambda big=big: big))
        del big
        while queue.waiting != 1:
            await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await queue.run(lambda: None)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        del waiting
        assert reference() is None
        assert queue.waiting == 0
        door.set()
        return await running

    assert asyncio.run(main()) == "stood"


def test_closing_does_not_wait_for_ever():
    entered, door = threading.Event(), threading.Event()
    queue = RunQueue("m", 1, 1, lambda seconds: None)

    def stand():
        entered.set()
        assert door.wait(60)

    async def main():
        task = asyncio.create_task(queue.run(stand))
        await asyncio.to_thread(entered.wait)
        task.cancel()

    asyncio.run(main())
    assert not queue.close(0)
    door.set()
    assert queue.close(30)
