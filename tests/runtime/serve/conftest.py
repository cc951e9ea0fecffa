"""A real server on a real port, with models that are plain functions of arrays."""

import asyncio
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import aiohttp
import numpy as np
import orjson
import pytest

from chrion_runtime.servable import StageLabel, TensorSpec
from chrion_runtime.serve.lifecycle import listening
from chrion_runtime.serve.models.registry import ModelRegistry
from chrion_runtime.serve.options import ServerOptions
from chrion_runtime.serve.protocol.datatypes import DTYPES
from tests.support.datatypes import VALUES


class Model:
    """A servable around a function of named arrays."""

    def __init__(self, function, inputs, outputs, name="m", concurrency=2, deadline=None):
        self.function = function
        self.inputs = self._specs(inputs)
        self.outputs = self._specs(outputs)
        self.name = name
        self.concurrency = concurrency
        self.state = {}
        self.deciding = frozenset()
        self.ready = True
        self.hop_seconds = 0.0
        self.deadline = deadline
        self.closed = False
        self.runs = 0
        self.observers = []
        self.stage = StageLabel("x=1x2", "cpu-all", 0, ("cpu/0", "cpu/1"))

    @staticmethod
    def _specs(tensors):
        return tuple(TensorSpec(name, DTYPES[datatype], shape) for name, (datatype, shape) in tensors.items())

    def run(self, inputs, outputs=None, sequence=None, observer=None, stop=None):
        assert not self.closed
        self.runs += 1
        began = time.perf_counter()
        results = self.function(**inputs)
        for tell in [*self.observers, *filter(None, [observer])]:
            tell(self.stage, began, 0.001)
        return {name: results[name] for name in outputs or results}

    def describe_plan(self):
        return {"plan": "all on one lane"}

    def forget(self, scope):
        pass

    def answered(self, seconds):
        pass

    def figures(self):
        return []

    def observe(self, observer):
        self.observers.append(observer)

    def close(self):
        self.closed = True


@dataclass
class Running:
    """A server that runs on a thread of its own."""

    registry: ModelRegistry
    where: object
    loop: asyncio.AbstractEventLoop
    stop: object

    @property
    def address(self):
        return f"127.0.0.1:{self.where.port}"


@contextmanager
def serve(*models, repository=None, **options):
    started = threading.Event()
    box = {}

    async def main():
        registry = ModelRegistry(models, ServerOptions(port=0, metrics_port=0, **options))
        stop = asyncio.Event()
        async with listening(registry, repository=repository and repository(registry)) as where:
            loop = asyncio.get_running_loop()
            box["running"] = Running(registry, where, loop, lambda: loop.call_soon_threadsafe(stop.set))
            started.set()
            await stop.wait()
        box["stuck"] = registry.close(10)

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert started.wait(30)
    try:
        yield box["running"]
    finally:
        with suppress(RuntimeError):  # the test has stopped it
            box["running"].stop()
        thread.join(60)
    assert not thread.is_alive()
    assert box["stuck"] == []
    assert all(model.closed for model in models if hasattr(model, "closed"))


@pytest.fixture
def serving():
    """A context manager: a server of the given models, drained and closed at the end of the block."""
    return serve


@pytest.fixture(scope="package")
def package_serving():
    """The same, for servers that many tests share."""
    return serve


@pytest.fixture
def make_model():
    """Makes a servable from a function, and its inputs and outputs as {name: (datatype, shape)}."""
    return Model


@pytest.fixture
def echo(make_model):
    """Gives every input back, one of each datatype, and beside it the same with its axes turned."""

    def function(**inputs):
        return inputs | {f"{name}_t": value.T for name, value in inputs.items()}

    inputs = {datatype: (datatype, (None, None)) for datatype in VALUES}
    return make_model(function, inputs, inputs | {f"{name}_t": spec for name, spec in inputs.items()}, name="echo")


@pytest.fixture
def add():
    """y = x + 1 and total = sum over x's second axis."""
    return Model(
        lambda x: {"y": x + np.float32(1), "total": x.sum(axis=1, dtype=np.float32)},
        {"x": ("FP32", (None, 2))},
        {"y": ("FP32", (None, 2)), "total": ("FP32", (None,))},
        name="add",
    )


class Gate:
    """A model that answers its input once it is let through; `entered` counts the runs that have begun."""

    def __init__(self, **options):
        self.open = threading.Event()
        self.entered = threading.Semaphore(0)
        self.model = Model(self._pass, {"x": ("INT64", (None,))}, {"y": ("INT64", (None,))}, name="gate", **options)

    def _pass(self, x):
        self.entered.release()
        assert self.open.wait(60)
        return {"y": x}


@pytest.fixture
def make_gate():
    """Makes a model that stands still until it is let through."""
    gates = []

    def make(**options):
        gates.append(Gate(**options))
        return gates[-1]

    yield make
    for gate in gates:
        gate.open.set()


@dataclass
class Answer:
    """What came back over HTTP."""

    status: int
    headers: object
    body: bytes

    @property
    def json(self):
        return orjson.loads(self.body)


def request(method, url, **options):
    async def main():
        async with aiohttp.ClientSession() as session, session.request(method, url, **options) as response:
            return Answer(response.status, response.headers, await response.read())

    return asyncio.run(main())


@pytest.fixture
def http():
    """Sends one request with aiohttp's client: http(method, url, **options)."""
    return request
