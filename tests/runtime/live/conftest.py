"""A small model with plans on the CPU and on an emulated accelerator, and a folder that is mounted like a ConfigMap."""

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import numpy as np
import orjson
import pytest

from chrion_api import Frontier, GpuBytes, Latency, Plan, PlanFile
from chrion_graph.graph import Graph
from chrion_graph.load import digest
from chrion_models.families import find
from chrion_models.inputs import random_inputs
from chrion_runtime.devices import open_devices
from chrion_runtime.engines import key_of
from chrion_runtime.planned_model import NormalisedModel
from tests.support.command import Chrion, serving
from tests.support.partition import Arrays, Cut, each_node, normalised, plan_of, saved, whole
from tests.support.waiting import wait_until

MI = 1 << 20
CASE = "gru-bidirectional-l2-h16-s8-b2"
ACCELERATOR = "emulated:0/0"


@dataclass(frozen=True)
class World:
    """A model, and plans for it."""

    model: Path
    graph: Graph
    digest: str
    feeds: Arrays
    expected: Arrays

    @property
    def normalised(self) -> NormalisedModel:
        return NormalisedModel(self.graph.folder, self.digest)

    def plan(self, name: str, cut: Cut, milliseconds: float, mebibytes: int = 0) -> Plan:
        """A plan that is said to take so long and so much GPU memory."""
        seconds = milliseconds / 1e3
        return plan_of(self.graph, cut).model_copy(
            update={
                "name": name,
                "measured": Latency(p50=seconds, p90=seconds, p99=seconds, repetitions=9),
                "gpu_bytes": GpuBytes(weights=mebibytes * MI),
            }
        )

    @property
    def nodes(self) -> range:
        return range(len(self.graph.nodes))

    @property
    def fast(self) -> Plan:
        """All on the accelerator."""
        return self.plan("fast", [(self.nodes, (ACCELERATOR,))], 1, 800)

    @property
    def middle(self) -> Plan:
        """Half of it on the accelerator."""
        half = len(self.nodes) // 2
        return self.plan("middle", [(self.nodes[:half], (ACCELERATOR,)), (self.nodes[half:], ("cpu/0",))], 10, 300)

    @property
    def small(self) -> Plan:
        """All on one core."""
        return self.plan("small", [(self.nodes, ("cpu/0",))], 100)

    @property
    def spread(self) -> Plan:
        """Every node a stage of its own, over two cores."""
        return self.plan("spread", each_node(self.graph), 2)

    def file(self, *plans: Plan, **update: object) -> PlanFile:
        """A plan file with these plans as its frontier."""
        shapes = {name: array.shape for name, array in self.feeds.items()}
        devices = {name: key_of(device) for name, device in open_devices(["emulated:0"]).items()}
        return PlanFile(model=self.digest, devices=devices, buckets=(Frontier(inputs=shapes, plans=plans),)).model_copy(
            update=update
        )


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("live")
    case = find(CASE)
    model = saved(case.build(), folder)
    graph = normalised(model, folder)
    feeds = random_inputs(case.build(), case.inputs, case.values)
    return World(model, graph, digest(model), feeds, whole(graph, feeds))


@pytest.fixture(scope="session")
def chrion(tmp_path_factory: pytest.TempPathFactory) -> Chrion:
    return Chrion(tmp_path_factory.mktemp("live-cache"))


@dataclass
class Mount:
    """A folder as the kubelet mounts a ConfigMap: files are links through `..data`, which is swapped as a whole."""

    folder: Path
    _count: Iterator[int] = field(default_factory=itertools.count)

    def put(self, **files: str | bytes) -> None:
        """Exchange the whole content; names are written with _ for the last dot."""
        target = self.folder / f"..{next(self._count)}"
        target.mkdir()
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            (target / name.replace("_", ".")).write_bytes(data)
        (self.folder / "..data_tmp").symlink_to(target.name)
        (self.folder / "..data_tmp").replace(self.folder / "..data")
        for name in files:
            link = self.folder / name.replace("_", ".")
            if not link.is_symlink():
                link.symlink_to(Path("..data") / link.name)

    def path(self, name: str) -> Path:
        return self.folder / name


@pytest.fixture
def mount(tmp_path: Path) -> Mount:
    folder = tmp_path / "mount"
    folder.mkdir()
    return Mount(folder)


@dataclass
class Traffic:
    """What came of requests that were sent all the time."""

    answered: int = 0
    problems: list[str] = field(default_factory=list)


@pytest.fixture
def steady(world: World) -> Callable[..., object]:
    """`with steady(server) as traffic`: two clients that ask one request after another, and check each answer."""

    @contextmanager
    def run(server, clients: int = 2) -> Iterator[Traffic]:
        traffic, stop = Traffic(), threading.Event()
        threads = [threading.Thread(target=_ask, args=(server, world, traffic, stop)) for _ in range(clients)]
        for thread in threads:
            thread.start()
        try:
            yield traffic
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)

    return run


def _ask(server, world: World, traffic: Traffic, stop: threading.Event) -> None:
    inputs = [
        {"name": name, "datatype": "FP32", "shape": array.shape, "data": array} for name, array in world.feeds.items()
    ]
    body = orjson.dumps({"inputs": inputs}, option=orjson.OPT_SERIALIZE_NUMPY)
    connection = HTTPConnection(server.address, timeout=60)
    while not stop.is_set():
        try:
            connection.request("POST", f"/v2/models/{server.name}/infer", body)
            response = connection.getresponse()
            answer = orjson.loads(response.read())
        except (OSError, HTTPException, ValueError) as error:
            traffic.problems.append(repr(error))
            return
        if response.status != 200:
            traffic.problems.append(f"{response.status}: {answer}")
            continue
        for output in answer["outputs"]:
            found = np.array(output["data"], np.float32).reshape(output["shape"])
            if not np.allclose(found, world.expected[output["name"]], rtol=1e-3, atol=1e-4):
                traffic.problems.append(f"{output['name']} is wrong")
        traffic.answered += 1
    connection.close()


@pytest.fixture
def until() -> Callable[..., object]:
    """Wait until something holds, and return it."""
    return wait_until


@pytest.fixture
def serving_live(chrion: Chrion, world: World, mount: Mount):
    """`with serving_live("--slo", path) as server`: `chrion serve` by the mounted plan."""
    return lambda *options: serving(
        chrion, "serve", world.model, "--plan", mount.path("plan.json"), "--name", "m", *options
    )
