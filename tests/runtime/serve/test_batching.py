"""Dynamic batching: requests that wait run together, and each gets the answer it would have got alone."""

import asyncio
import threading

import aiohttp
import numpy as np
import orjson
import pytest
import uvloop

from chrion_runtime.serve.admission.run_queue import RunQueue
from chrion_runtime.serve.protocol import InferRequest
from chrion_runtime.serve.protocol.errors import DeadlineExceeded
from chrion_runtime.serve.protocol.request import RequestedOutput
from chrion_runtime.serve.request.batching import Batcher


def body(*values, output="y"):
    tensor = {"name": "x", "datatype": "FP64", "shape": [len(values), 1], "data": values}
    return orjson.dumps({"inputs": [tensor], "outputs": [{"name": output}]})


class Rows:
    """A model that counts the rows of each of its runs, and stands still until it is let through."""

    def __init__(self, make_model, function, **options):
        self.function = function
        self.runs = []
        self.open = threading.Event()
        self.entered = threading.Semaphore(0)
        shape = ("FP64", (None, 1))
        outputs = {"y": shape, "z": shape}
        self.model = make_model(self._run, {"x": shape}, outputs, name="rows", concurrency=1, **options)

    def _run(self, x):
        self.entered.release()
        assert self.open.wait(60)
        self.runs.append(len(x))
        return self.function(x)


@pytest.fixture
def rows(make_model):
    found = []

    def make(function=lambda x: {"y": 2 * x, "z": -x}, **options):
        found.append(Rows(make_model, function, **options))
        return found[-1]

    yield make
    for one in found:
        one.open.set()


def ask_all(running, rows, bodies):
    """Send one request, and the others while it runs; all statuses and answers."""

    async def main():
        url = f"{running.where.url}/v2/models/rows/infer"
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def ask(content):
                async with session.post(url, data=content) as answer:
                    found = orjson.loads(await answer.read())
                    return answer.status, found["outputs"][0]["data"] if answer.status == 200 else found["error"]

            tasks = [asyncio.create_task(ask(bodies[0]))]
            await asyncio.to_thread(rows.entered.acquire)
            model = running.registry.model("rows")
            for number, content in enumerate(bodies[1:], 1):
                tasks.append(asyncio.create_task(ask(content)))
                while model.waiting < number:
                    await asyncio.sleep(0.001)
            rows.open.set()
            return await asyncio.gather(*tasks)

    return asyncio.run(main())


def test_those_that_wait_run_together(serving, rows):
    model = rows()
    with serving(model.model, batch=8) as running:
        numbers = [(float(n),) * (1 + n % 3) for n in range(12)]
        answers = ask_all(running, model, [body(*values) for values in numbers])
        assert answers == [(200, [2 * value for value in values]) for values in numbers]
        first = list(model.runs)
        model.open.clear()
        while model.entered.acquire(blocking=False):
            pass
        answers = ask_all(running, model, [body(*values) for values in numbers])
        assert answers == [(200, [2 * value for value in values]) for values in numbers]
    # The first batch was checked: its requests ran once more, each alone.
    assert max(first) > 3
    assert sum(first) == sum(map(len, numbers)) + max(first)
    again = model.runs[len(first) :]
    assert sum(again) == sum(map(len, numbers))
    assert max(again) <= 8
    assert len(again) <= 6


def test_off_by_default(serving, rows):
    model = rows()
    with serving(model.model) as running:
        ask_all(running, model, [body(1.0)] * 6)
    assert model.runs == [1] * 6


def test_only_what_asks_for_the_same(serving, rows):
    model = rows()
    bodies = [body(float(n), output="yz"[n % 2]) for n in range(8)]
    with serving(model.model, batch=8) as running:
        answers = ask_all(running, model, bodies)
    assert answers == [(200, [2.0 * n if n % 2 == 0 else -1.0 * n]) for n in range(8)]


def test_a_model_that_mixes_its_rows_is_never_batched_again(serving, rows, caplog):
    model = rows(lambda x: {"y": np.cumsum(x, axis=0), "z": x})
    with serving(model.model, batch=8) as running:
        assert ask_all(running, model, [body(1.0)] * 6) == [(200, [1.0])] * 6
        assert "the answer to a row depends on other rows" in caplog.text
        count = len(model.runs)
        model.open.clear()
        while model.entered.acquire(blocking=False):
            pass
        assert ask_all(running, model, [body(1.0)] * 6) == [(200, [1.0])] * 6
    assert model.runs[count:] == [1] * 6


def test_one_that_fails_fails_alone(serving, rows):
    from chrion_runtime.errors import RunError

    def function(x):
        if (x < 0).any():
            raise RunError("no negative numbers")
        return {"y": x, "z": x}

    model = rows(function)
    with serving(model.model, batch=8) as running:
        answers = ask_all(running, model, [body(value) for value in (1.0, 2.0, -3.0, 4.0)])
    assert answers == [(200, [1.0]), (200, [2.0]), (500, "no negative numbers"), (200, [4.0])]


def test_models_without_a_batch_axis_are_left_alone(serving, make_model, http, caplog):
    fixed = make_model(lambda x: {"y": x}, {"x": ("FP64", (1, 1))}, {"y": ("FP64", (1, 1))}, name="rows")
    with serving(fixed, batch=8) as running:
        assert http("POST", f"{running.where.url}/v2/models/rows/infer", data=body(3.0)).status == 200
    assert "is not batched: its first axes are not all open" in caplog.text


def test_a_batch_that_everybody_leaves_before_it_begins_gives_back_its_place(make_model):
    shape = {"x": ("FP64", (None, 1))}
    model = make_model(lambda x: {"y": x}, shape, {"y": ("FP64", (None, 1))}, name="rows", concurrency=1)
    queue = RunQueue("rows", 1, 8, lambda seconds: None)
    request = InferRequest(None, {"x": np.ones((1, 1))}, (RequestedOutput("y", binary=False),))
    ends = []

    async def main():
        batcher = Batcher(model, queue, 8)
        for _ in range(3):
            with pytest.raises(DeadlineExceeded):
                # uvloop, on which servers run, tells of a time that is up before a task takes its first step.
                await batcher.run(request, left=0.0, ended=ends.append)
        async with asyncio.timeout(30):
            results, _ = await batcher.run(request, ended=ends.append)
        return results["y"].tolist()

    assert uvloop.run(main()) == [[1.0]]
    assert ends == [False, False, False, True]
    assert queue.close(30)
