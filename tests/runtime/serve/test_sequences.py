"""Sequences over HTTP, as Triton's client sends them."""

import asyncio
import threading

import aiohttp
import numpy as np
import orjson
import pytest
import tritonclient.http as triton

from chrion_api import StateLink
from chrion_runtime.planned_model import Hosting, PlannedModel
from chrion_runtime.sequences import SequenceStore
from chrion_runtime.servable import TensorSpec
from tests.runtime.sequences.conftest import BUCKET, STEPS, lstm, speech, zeros
from tests.support.partition import each_node, reference
from tests.support.plans import Planned

LINKS = (StateLink(output="h_out", input="h"), StateLink(output="c_out", input="c"))


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planned")
    first = Planned(lstm(), folder / "whole", BUCKET)
    return {"whole": first, "stages": Planned(lstm(), folder / "stages", BUCKET, each_node(first.graph))}


@pytest.fixture
def session(planned):
    """`session(name="whole", **store)`: a session with state; served, it is closed with the server."""

    def make(name="whole", **store):
        one = planned[name]
        return PlannedModel(
            one.normalised, one.plan_file, name="m", state=LINKS, hosting=Hosting(SequenceStore(**store))
        )

    return make


@pytest.fixture
def expected(planned):
    return lambda x: reference(planned["whole"].path, {"x": x, **zeros(x.shape[1])})


def tensor(name, array, binary=True):
    return triton.InferInput(name, array.shape, "FP32").set_data_from_numpy(array, binary_data=binary)


class Client:
    """Triton's client, with a sequence's chunks."""

    def __init__(self, address, binary=True):
        self.triton = triton.InferenceServerClient(address)
        self._binary = binary

    def send(self, key, x, start=False, end=False, outputs=(), **others):
        inputs = [tensor(name, array, self._binary) for name, array in {"x": x, **others}.items()]
        asked = [triton.InferRequestedOutput(name, binary_data=self._binary) for name in outputs] or None
        return self.triton.infer("m", inputs, outputs=asked, sequence_id=key, sequence_start=start, sequence_end=end)


def chunks(x):
    return np.split(x, len(x) // STEPS)


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("name", ["whole", "stages"])
def test_chunks_give_what_the_whole_gives(serving, session, expected, name, binary):
    with serving(session(name)) as running:
        client = Client(running.address, binary)
        xs = {key: speech(seed) for seed, key in enumerate((1, 2**64 - 1, "1", "a stream"))}
        parts = {key: [] for key in xs}
        for position in range(5):
            for key, x in xs.items():
                answer = client.send(key, chunks(x)[position], start=position == 0, end=position == 4)
                assert {output["name"] for output in answer.get_response()["outputs"]} == {"y", "mood"}
                parts[key].append(answer.as_numpy("y"))
        for key, x in xs.items():
            close(np.concatenate(parts[key]), expected(x)["y"])


def test_state_is_answered_where_it_is_asked_for(serving, session, expected):
    with serving(session()) as running:
        client = Client(running.address)
        x = speech(3, STEPS * 2)
        client.send(5, x[:STEPS], start=True)
        answer = client.send(5, x[STEPS:], outputs=("h_out", "y"))
        close(answer.as_numpy("h_out"), expected(x)["h_out"])


def test_without_a_sequence_all_inputs_are_given_and_all_outputs_answered(serving, session, expected):
    with serving(session()) as running:
        client = Client(running.address)
        x = speech(1, STEPS)
        for key in (0, ""):
            answer = client.send(key, x, **zeros())
            assert {output["name"] for output in answer.get_response()["outputs"]} == {"y", "h_out", "c_out", "mood"}
            close(answer.as_numpy("y"), expected(x)["y"])
        with pytest.raises(triton.InferenceServerException, match='input "h": is missing'):
            client.send(0, x)


def test_a_request_of_a_sequence_that_gives_its_state(serving, session):
    said = r"input \"h\": is state of the sequence.*leave it out"
    with serving(session()) as running, pytest.raises(triton.InferenceServerException, match=said):
        Client(running.address).send(5, speech(1, STEPS), start=True, h=zeros()["h"])


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"sequence_id": 1.5}, "sequence_id must be an integer from 1 to"),
        ({"sequence_id": True}, "sequence_id must be an integer from 1 to"),
        ({"sequence_id": [1]}, "sequence_id must be an integer from 1 to"),
        ({"sequence_id": -1}, "sequence_id must be an integer from 1 to"),
        ({"sequence_id": 2**64}, "sequence_id must be an integer from 1 to"),
        ({"sequence_id": "x" * 129}, "longer than 128 characters"),
        ({"sequence_id": 1, "sequence_start": 1}, "sequence_start must be true or false"),
        ({"sequence_id": 1, "sequence_end": "yes"}, "sequence_end must be true or false"),
        ({"sequence_start": True}, "need a sequence_id other than 0"),
        ({"sequence_id": 0, "sequence_end": True}, "need a sequence_id other than 0"),
    ],
)
def test_bad_parameters(serving, session, http, parameters, words):
    x = speech(0, STEPS)
    data = {"name": "x", "datatype": "FP32", "shape": list(x.shape), "data": x.ravel().tolist()}
    with serving(session()) as running:
        answer = http(
            "POST",
            f"{running.where.url}/v2/models/m/infer",
            data=orjson.dumps(
                {"inputs": [data], "parameters": {key: value for key, value in parameters.items() if value != 2**64}}
            ).replace(b'"parameters":{}', b'"parameters":{"sequence_id":18446744073709551616}'),
        )
        assert answer.status == 400
        assert words in answer.json["error"]


def test_lost_sequences_are_conflicts_and_can_begin_again(serving, session, http, expected):
    with serving(session(limit=2)) as running:
        client = Client(running.address)
        x = speech(2, STEPS * 2)

        def refused(key):
            with pytest.raises(triton.InferenceServerException) as caught:
                client.send(key, x[:STEPS])
            assert caught.value.status() == "409"
            return caught.value.message()

        assert "sequence 9 has no state here: it was not started here; another replica may have it" in refused(9)
        client.send(9, x[:STEPS], start=True)
        client.send("b", x[:STEPS], start=True)
        client.send("c", x[:STEPS], start=True)
        assert (
            "it was idle for the longest time when more than 2 were started; start again with sequence_start"
            in refused(9)
        )
        client.send(9, x[:STEPS], start=True)
        close(client.send(9, x[STEPS:], end=True).as_numpy("y"), expected(x)["y"][STEPS:])
        assert "it has ended" in refused(9)
        text = http("GET", running.where.metrics_url).body.decode()
        assert 'chrion_sequences{model="m"} 1.0' in text
        assert 'chrion_sequence_bytes{model="m"} 64.0' in text
        assert 'chrion_sequence_events_total{event="evicted",model="m"} 2.0' in text.replace(
            'model="m",event="evicted"', 'event="evicted",model="m"'
        )
        assert 'chrion_request_seconds_count{model="m",outcome="refused"} 3.0' in text


def test_a_request_that_does_not_fit_the_state(serving, session):
    with serving(session()) as running:
        client = Client(running.address)
        client.send(1, speech(0, STEPS, batch=2), start=True)
        with pytest.raises(triton.InferenceServerException, match=r"dimension 1 \(B\) is 1, but the state") as caught:
            client.send(1, speech(0, STEPS, batch=1))
        assert caught.value.status() == "400"
        client.send(1, speech(0, STEPS, batch=2))


class Echo:
    """A servable that stands still at the door of each run, and remembers in which order sequences came in."""

    name, state, deadline, concurrency = "m", {"after": "before"}, None, 2
    deciding = frozenset()
    ready = True
    hop_seconds = 0.0
    inputs = tuple(TensorSpec(name, np.dtype("<i8"), (None,)) for name in ("x", "before"))
    outputs = tuple(TensorSpec(name, np.dtype("<i8"), (None,)) for name in ("y", "after"))

    def __init__(self):
        self.entered = threading.Semaphore(0)
        self.doors = {}
        self.order = []

    def run(self, inputs, outputs=None, sequence=None, observer=None, stop=None):
        value = int(inputs["x"][0])
        self.order.append(value)
        self.entered.release()
        assert self.doors[value].wait(60)
        return {"y": inputs["x"]}

    def describe_plan(self):
        return {}

    def figures(self):
        return []

    def answered(self, seconds):
        pass

    def observe(self, observer):
        pass

    closed = False

    def close(self):
        self.closed = True


def test_one_sequence_waits_for_its_turn_and_takes_no_thread_from_others(serving):
    model = Echo()
    model.doors = {value: threading.Event() for value in range(10)}

    async def main(url):
        async with aiohttp.ClientSession() as client:

            def ask(value, key):
                x = {"name": "x", "datatype": "INT64", "shape": [1], "data": [value]}
                body = {"inputs": [x], "parameters": {"sequence_id": key, "sequence_start": True}}
                return asyncio.create_task(client.post(url, json=body))

            first = ask(0, "one")
            await asyncio.to_thread(model.entered.acquire)
            waiting = []
            for value in range(1, 5):
                waiting.append(ask(value, "one"))
                while running.registry.in_flight < value + 1:
                    await asyncio.sleep(0.005)
            # There are two threads: four more of the first sequence hold neither of them.
            for value in (7, 8):
                model.doors[value].set()
                assert (await ask(value, value)).status == 200
            waiting[1].cancel()
            while running.registry.in_flight > 4:  # until the server knows
                await asyncio.sleep(0.005)
            for value in (0, 1, 3, 4):
                model.doors[value].set()
            return [(await one).status for one in (first, *waiting[:1], *waiting[2:])]

    with serving(model) as running:
        assert asyncio.run(main(f"{running.where.url}/v2/models/m/infer")) == [200] * 4
    assert model.order == [0, 7, 8, 1, 3, 4]
