"""Large JSON is read and written in another process: the same answers, also when that process is killed."""

import asyncio
import gzip
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from time import perf_counter

import aiohttp
import numpy as np
import orjson
import pytest

from chrion_runtime.serve.admission.deadline import Deadline
from chrion_runtime.serve.codec import codec as module
from chrion_runtime.serve.codec import remote
from chrion_runtime.serve.codec.codec import Codec
from chrion_runtime.serve.codec.queue import HEAVY, MOST_WAITING, CodecQueue
from chrion_runtime.serve.protocol import RawRequest, Signature, read_request, write_answer
from chrion_runtime.serve.protocol.errors import BadRequest, CodecLost, DeadlineExceeded, QueueFull, TooLarge, Waited
from tests.support.waiting import wait_until

LARGE = 2_000
NEVER = Deadline(0.0, None, None)


def request(values, **more):
    tensor = {"name": "x", "datatype": "FP64", "shape": [len(values)], "data": values}
    return orjson.dumps({"inputs": [tensor], "id": "me", **more}, option=orjson.OPT_SERIALIZE_NUMPY)


@pytest.fixture
def double(make_model):
    """y = 2 x"""
    return make_model(lambda x: {"y": 2 * x}, {"x": ("FP64", (None,))}, {"y": ("FP64", (None,))}, name="double")


@pytest.fixture
def server(serving, double):
    with serving(double, large_json=LARGE) as running:
        yield running


@pytest.fixture
def url(server):
    return f"{server.where.url}/v2/models/double/infer"


def test_its_process_imports_no_more_than_it_needs():
    heavy = {"aiohttp", "networkx", "onnx", "onnxruntime"}
    code = f"import sys, {remote.__name__}; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"


def workers(server):
    return [worker.pid for worker in server.registry.codec.workers]


@pytest.mark.parametrize("compressed", [False, True])
def test_large_json(server, url, http, compressed):
    values = np.random.default_rng(0).random(5_000)
    content = request(values)
    headers = {"Content-Encoding": "gzip"} if compressed else {}
    answer = http("POST", url, data=gzip.compress(content) if compressed else content, headers=headers)
    assert answer.status == 200
    assert answer.json["id"] == "me"
    assert answer.json["outputs"][0]["data"] == (2 * values).tolist()
    assert workers(server)


def test_small_json_and_binary_stay_here(server, url, http):
    assert http("POST", url, data=request(np.arange(3.0))).json["outputs"][0]["data"] == [0, 2, 4]
    values = np.arange(50_000.0)
    tensor = {"name": "x", "datatype": "FP64", "shape": [50_000], "parameters": {"binary_data_size": values.nbytes}}
    head = orjson.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}})
    headers = {"Inference-Header-Content-Length": str(len(head))}
    answer = http("POST", url, data=head + values.tobytes(), headers=headers)
    assert answer.body.endswith((2 * values).tobytes())
    assert workers(server) == []


def test_what_is_wrong_is_said_as_ever(server, url, http):
    wrong = http("POST", url, data=request([1.0] * 5_000 + ["one"]))
    assert (wrong.status, wrong.json["error"]) == (400, "input \"x\": value 5000 is 'one', not a number")
    broken = http("POST", url, data=b"[" * 5_000)
    assert broken.status == 400
    assert http("POST", url, data=gzip.compress(b"0" * 70_000_000), headers={"Content-Encoding": "gzip"}).status == 413
    assert http("POST", url, data=b"nonsense", headers={"Content-Encoding": "gzip"}).status == 400
    infinite = http("POST", url, data=request([1e308] * 5_000))
    assert infinite.status == 400
    assert "NaN or infinity" in infinite.json["error"]


def test_killed_under_load(server, url):
    content = request(np.arange(5_000.0))
    wanted = (2 * np.arange(5_000.0)).tolist()

    async def main():
        statuses, killed = [], []

        async def ask(session):
            while len(killed) < 5:
                async with session.post(url, data=content) as answer:
                    found = orjson.loads(await answer.read())
                    statuses.append(answer.status)
                    if answer.status == 200:
                        assert found["outputs"][0]["data"] == wanted
                    else:
                        assert answer.headers["Retry-After"]

        async def kill():
            while len(killed) < 5:
                await asyncio.sleep(0.05)
                for pid in workers(server):
                    if pid not in killed:
                        os.kill(pid, signal.SIGKILL)
                        killed.append(pid)

        async with aiohttp.ClientSession() as session:
            await asyncio.gather(*(ask(session) for _ in range(4)), kill())
            statuses_before = len(statuses)
            async with session.post(url, data=content) as answer:
                assert answer.status == 200
        return statuses, statuses_before

    statuses, count = asyncio.run(main())
    assert count
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) > 0


def stop(server):
    """Start the processes, and have the system stop them."""
    server.registry.codec.start()
    wait_until(lambda: len(workers(server)) == 2)
    stopped = workers(server)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    return stopped


def test_processes_that_stand_still_are_replaced(server, url, http):
    stopped = stop(server)
    # More than a socket holds, so that it is in the middle of sending.
    content = request(np.random.default_rng(0).random(100_000))
    late = http("POST", url, data=content, headers={"X-Request-Timeout-Ms": "100"})
    assert late.status == 504
    assert late.json["error"].startswith("not answered within 100 ms")
    assert http("POST", url, data=content).status == 200
    wait_until(lambda: not set(stopped) & set(workers(server)))


def test_one_that_stops_at_work_is_replaced(server, url, http, monkeypatch):
    monkeypatch.setattr(module, "WORK_SECONDS", 0.5)
    stopped = []

    def stop_at_work(worker, function, *arguments, **options):
        if function is module.remote.read and not stopped:
            stopped.append(worker.pid)
            os.kill(worker.pid, signal.SIGSTOP)
        else:
            options["seconds"] = 60.0
        return call(worker, function, *arguments, **options)

    call = module.Worker.call
    monkeypatch.setattr(module.Worker, "call", stop_at_work)
    answer = http("POST", url, data=request(np.random.default_rng(0).random(100_000)))
    assert answer.status == 200
    assert stopped
    assert stopped[0] not in workers(server)


def test_a_deadline_in_the_request_itself(server, url, http):
    late = http("POST", url, data=request(np.arange(5_000.0), parameters={"timeout": 1}))
    assert late.status == 504


def test_small_bodies_go_before_large_ones():
    line = CodecQueue()
    order = []

    async def main():
        def ask(size):
            return asyncio.create_task(line.run(lambda _: order.append(size), size, NEVER))

        asked = [ask(size) for size in (3 * HEAVY, 2 * HEAVY, 2_000_000, 1_000)]
        await asyncio.sleep(0)

        def work():
            for heavy in (False, False, True, True):
                job = line.take(heavy)
                job.deliver(job.work(None), None)

        await asyncio.gather(asyncio.to_thread(work), *asked)

    asyncio.run(main())
    assert order == [1_000, 2_000_000, 2 * HEAVY, 3 * HEAVY]


def test_the_line_is_bounded_and_left_at_the_deadline():
    line = CodecQueue()

    async def main():
        now = perf_counter()
        hurried = asyncio.create_task(line.run(len, 1, Deadline(now, 0.01, None)))
        by_objective = asyncio.create_task(line.run(len, 1, Deadline(now, None, 0.01)))
        with pytest.raises(DeadlineExceeded):
            await hurried
        with pytest.raises(Waited):
            await by_objective
        waiting = [asyncio.create_task(line.run(len, 1, NEVER)) for _ in range(MOST_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await line.run(len, 1, NEVER)
        heavy = asyncio.create_task(line.run(len, HEAVY + 1, NEVER))
        waiting.pop().cancel()
        await asyncio.sleep(0)
        waiting.append(asyncio.create_task(line.run(len, 1, NEVER)))
        await asyncio.sleep(0)
        line.close()
        found = await asyncio.gather(heavy, *waiting, return_exceptions=True)
        assert {type(error) for error in found} == {CodecLost}

    asyncio.run(main())


def test_work_is_cut_off_by_the_client_and_not_by_the_objective():
    line = CodecQueue()

    async def main():
        now = perf_counter()
        objective = asyncio.create_task(line.run(len, 1, Deadline(now, None, 0.1)))
        client = asyncio.create_task(line.run(len, 1, Deadline(now, 0.1, None)))
        await asyncio.sleep(0)
        first, second = line.take(True), line.take(True)
        with pytest.raises(DeadlineExceeded):
            await client
        assert not second.wanted
        first.deliver("done", None)
        assert await objective == "done"

    asyncio.run(main())


def test_json_of_too_many_values(server, url, http):
    for values, said in ((b"1," * 17_000_000, "16777216 values"), (b"{}," * 4_200_000, "4194304 lists and objects")):
        answer = http("POST", url, data=b'{"inputs":[' + values + b"1]}")
        assert answer.status == 413
        assert said in answer.json["error"]
    assert http("POST", url, data=request(np.arange(5_000.0))).status == 200


def test_memory_is_bounded(server, url, http, monkeypatch):
    monkeypatch.setattr(module, "MEMORY", 300 << 20)
    answer = http("POST", url, data=request(np.full(4_000_000, 0.5)))
    assert answer.status in (413, 503)
    assert "send" in answer.json["error"]
    assert http("POST", url, data=request(np.arange(5_000.0))).status == 200


def test_small_compressed_bodies_stay_here(server, url, http):
    gzipped = {"Content-Encoding": "gzip"}
    for content, status in ((request(np.arange(3.0)), 200), (b"1" * 1_999, 400)):
        assert http("POST", url, data=gzip.compress(content), headers=gzipped).status == status
    assert http("POST", url, data=b"nonsense", headers=gzipped).status == 400
    assert http("POST", url, data=gzip.compress(request([]))[:-9], headers=gzipped).status == 400
    assert workers(server) == []
    # Small as it comes, and large inflated: beyond what the process for small bodies takes, too.
    values = np.zeros(HEAVY // 3)
    assert http("POST", url, data=gzip.compress(request(values)), headers=gzipped).status == 200


def test_as_without_it():
    specs = ((spec_of("x"),), (spec_of("y"),), ())
    signature = Signature(*specs[:2])
    values = np.random.default_rng(1).random(400)
    codec = Codec(2)

    async def main():
        raw = RawRequest(request(values))
        read, here = await codec.read(raw, specs, 1 << 20, NEVER), read_request(raw.body, None, signature)
        assert (read.id, read.outputs, read.timeout) == (here.id, here.outputs, here.timeout)
        np.testing.assert_array_equal(read.inputs["x"], here.inputs["x"])
        results = {"y": values}
        assert (await codec.write(write_answer, "m", read, results, 1, NEVER)).body == write_answer(
            "m", here, results
        ).body
        with pytest.raises(BadRequest, match="nothing"):
            await codec.read(RawRequest(request(values, outputs=[{"name": "nothing"}])), specs, 1 << 20, NEVER)
        with pytest.raises(TooLarge):
            await codec.read(RawRequest(gzip.compress(raw.body), None, "gzip"), specs, 10, NEVER)

    try:
        asyncio.run(main())
    finally:
        codec.close(30)


def spec_of(name):
    from chrion_runtime.servable import TensorSpec

    return TensorSpec(name, np.dtype("<f8"), (None,))


PARENT = """
import asyncio, sys
import numpy as np
from chrion_runtime.serve.protocol import RawRequest
from chrion_runtime.servable import TensorSpec
from chrion_runtime.serve.codec.codec import Codec
from chrion_runtime.serve.admission.deadline import Deadline

codec = Codec(1)
body = b'{"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [1]}]}'
spec = TensorSpec("x", np.dtype("<f8"), (None,))
asyncio.run(codec.read(RawRequest(body), ((spec,), (spec,), ()), 1000, Deadline(0.0, None, None)))
print(*(worker.pid for worker in codec.workers), flush=True)
sys.stdin.read()
"""


def test_it_dies_with_its_parent():
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        child = Path("/proc") / parent.stdout.readline().strip()
        assert child.exists()
        parent.kill()
        parent.wait()
        pause = threading.Event()
        while child.exists() and "Z" not in (child / "stat").read_text().rpartition(")")[2].split()[0]:
            pause.wait(0.01)
