"""Profile: what every kind of node costs on every device, and what it costs to move between devices.

Planning is a pure function of graph, profile and objective, so a profile is all that is needed to plan for a
device that is not here.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field, model_validator

from chrion_api.chrionmodel import Shape
from chrion_api.document import Document
from chrion_api.engine_options import ONNXRUNTIME, BoundedOptions, DocumentVersion, Options, options_of_version_1


class DeviceKey(Document):
    """What a measurement holds for: it is void on a device that differs in any of these."""

    product: str
    """The processor's or GPU's product name."""
    cores: int = Field(ge=1)
    """Cores that the process may use (quota and cpuset), or multiprocessors of a GPU."""
    engines: dict[str, str]
    """Versions of the engines that run there, by name."""
    instructions: str = ""
    """The widest vector instructions of a processor, such as avx512; empty for GPUs and if unknown."""
    driver: str = ""
    """The GPU driver's version."""

    @model_validator(mode="before")
    @classmethod
    def _read_version_1(cls, value: Any) -> Any:
        """Version 1 knew one engine."""
        if not isinstance(value, dict) or "onnxruntime" not in value:
            return value
        if "engines" in value:
            raise ValueError("onnxruntime: give its version under engines, or leave out engines")
        rest = {name: part for name, part in value.items() if name != "onnxruntime"}
        return {**rest, "engines": {ONNXRUNTIME: value["onnxruntime"]}}

    def changed(self, here: "DeviceKey", engines: Iterable[str]) -> list[str]:
        """How a device that is here differs, in what was told of both, and in the versions of these engines."""
        fields = ("product", "cores", "instructions", "driver")
        pairs = [(field, getattr(self, field), getattr(here, field)) for field in fields]
        pairs = [pair for pair in pairs if pair[0] != "instructions" or pair[1]]
        pairs += [(name, self.engines.get(name, ""), here.engines.get(name, "")) for name in engines]
        return [f"{name} {then!r} is {now!r} here" for name, then, now in pairs if then != now]


class NodeCost(Document):
    """What one kind of node costs on one device."""

    seconds: float = Field(gt=0)
    """Median seconds of one run on one lane, nothing optimised."""
    wide_seconds: float | None = Field(default=None, gt=0)
    """The same on all lanes of the device at once; null where that was not worth measuring."""
    crowded_seconds: float | None = Field(default=None, gt=0)
    """The same on one lane while every other lane runs such a node too: cores share caches and memory, and the streams
    of a GPU its multiprocessors; null where that was not worth measuring."""
    bytes: int = Field(default=0, ge=0)
    """Device memory that it takes for as long as it is loaded: its weights, and the device's own copies of them."""
    scratch_bytes: int = Field(default=0, ge=0)
    """Device memory that it takes while it runs, besides what it reads and writes: a library's workspace."""


class Whole(Document):
    """Runs of a whole graph on one device: what the sum of its nodes is scaled to."""

    graph: str
    """SHA-256 of the graph."""
    inputs: dict[str, Shape]
    """The shapes it ran with."""
    lanes: int = Field(ge=1)
    """Lanes it held."""
    engine: str = ONNXRUNTIME
    """What ran it."""
    options: BoundedOptions = {}
    """How."""
    seconds: float = Field(gt=0)
    """Median seconds of a run."""

    _read_version_1 = model_validator(mode="before")(options_of_version_1)


class PartCost(Document):
    """What an engine takes for a part of a graph that it runs as one kernel."""

    signature: str
    """What tells the part from others: its nodes and how they are joined, their types and shapes."""
    engine: str
    """What ran it."""
    lanes: int = Field(ge=1)
    """Lanes it held."""
    options: BoundedOptions = {}
    """How."""
    seconds: float = Field(gt=0)
    """Median seconds of a run."""
    crowded_seconds: float | None = Field(default=None, gt=0)
    """The same while every other lane runs such a part too; null where that was not worth measuring."""


class CachePoint(Document):
    """What it costs to read weights again that other sessions have pushed out of the caches."""

    bytes: int = Field(gt=0)
    """Weights of all sessions that take turns."""
    seconds_per_byte: float = Field(ge=0)
    """What a run takes longer than one whose weights are in the caches, for each byte of its weights."""


class DeviceProfile(Document):
    """What nodes cost on one device."""

    name: str
    """The device: cpu, cuda:0, …"""
    key: DeviceKey
    """What the measurements hold for."""
    lanes: int = Field(ge=1)
    """Independent in-order queues that the device has."""
    hop_seconds: float = Field(ge=0)
    """Fixed cost of one more stage on the same lane."""
    handoff_seconds: float = Field(ge=0)
    """Cost of starting a stage on this device when its last input came from another lane, which has idled before."""
    launch_seconds: float = Field(default=0, ge=0)
    """Fixed cost of one run of a plan of several stages."""
    cache: tuple[CachePoint, ...] = ()
    """From few bytes to many; empty where nothing is known of the device's caches."""
    tainted: str = ""
    """What else went on while this was measured; empty where nothing did."""
    context_bytes: int = Field(default=0, ge=0)
    """Device memory that a process takes before it loads anything."""
    session_bytes: int = Field(default=0, ge=0)
    """Device memory that each session takes besides its weights and values: handles and workspace of the libraries."""
    nodes: dict[str, NodeCost | None] = {}
    """Cost by node signature, by ONNX Runtime, which runs any node; null for what the device cannot run."""
    wholes: tuple[Whole, ...] = ()
    """Runs of whole graphs, by every engine."""
    parts: tuple[PartCost, ...] = ()
    """Runs of parts of graphs, by engines that take only some nodes."""

    def whole(
        self,
        graph: str,
        inputs: Mapping[str, Shape],
        lanes: int,
        options: Options,
        engine: str = ONNXRUNTIME,
    ) -> float | None:
        """Seconds of a whole graph; None where it was not measured so."""
        wanted = (graph, inputs, lanes, engine, options)
        for entry in self.wholes:
            if (entry.graph, entry.inputs, entry.lanes, entry.engine, entry.options) == wanted:
                return entry.seconds
        return None

    def wholes_of(self, graph: str, inputs: Mapping[str, Shape]) -> list[Whole]:
        """Every run of a whole graph with these shapes."""
        return [entry for entry in self.wholes if (entry.graph, entry.inputs) == (graph, inputs)]

    def uncached_seconds_per_byte(self, weights: int) -> float:
        """What reading weights takes longer where sessions with so many bytes of them in all take turns."""
        below = CachePoint(bytes=1, seconds_per_byte=0)
        for point in self.cache:
            if weights <= point.bytes:
                part = (weights - below.bytes) / (point.bytes - below.bytes)
                return below.seconds_per_byte + max(part, 0) * (point.seconds_per_byte - below.seconds_per_byte)
            below = point
        return below.seconds_per_byte


class Transfer(Document):
    """What it costs to copy a value from one device to another: latency plus bytes over bandwidth."""

    source: str
    """The device that holds the value."""
    target: str
    """The device that needs it."""
    latency_seconds: float = Field(ge=0)
    """Cost of the smallest copy."""
    bytes_per_second: float = Field(gt=0)
    """Bandwidth of a large copy."""


class Profile(Document):
    """Measured costs of a model's nodes on the devices of one machine."""

    version: DocumentVersion = 2
    """The version of this format."""
    model: str
    """SHA-256 of the model's file."""
    devices: tuple[DeviceProfile, ...]
    """One entry a device."""
    transfers: tuple[Transfer, ...] = ()
    """One entry an ordered pair of devices."""

    def device(self, name: str) -> DeviceProfile:
        """The profile of one device; raises KeyError where it has none."""
        for entry in self.devices:
            if entry.name == name:
                return entry
        raise KeyError(name)
