"""The seam between a plan and what runs it. Above it nobody knows ONNX Runtime; below it nobody knows plans.

An engine compiles nodes, given as a sub-model's file, into a kernel for the lanes it holds. A kernel runs values of any
shape, and binds values in advance into calls, of which several may run at once.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from chrion_api import Options, WeightFormat
from chrion_runtime.devices.device import Device
from chrion_runtime.devices.memory import Tensor
from chrion_runtime.stop import Stop

if TYPE_CHECKING:
    from chrion_graph.graph import Graph


@dataclass(frozen=True)
class Ports:
    """What a stage gives its kernel and wants of it: names of the sub-model, in the stage's order."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]


@dataclass(frozen=True)
class Site:
    """Where a kernel runs."""

    device: Device
    lanes: int
    """Lanes that it holds while it runs: it uses so many threads, and no others."""
    spin: bool = False
    """Whether its threads may wait actively while it is idle."""
    limit: int | None = None
    """Bytes of the device's memory that it may take, where it can be held to that; None without a limit."""


@dataclass(frozen=True)
class KernelBytes:
    """Memory that a kernel takes for as long as it is loaded."""

    device: int = 0
    host: int = 0
    """Outside of arenas that `RUN_MEMORY` knows of."""


class Call(Protocol):
    """A kernel bound to the tensors that it reads and writes."""

    def read(self, place: int, tensor: Tensor) -> None:
        """Read this tensor as the n-th input from now on."""

    def write(self, place: int, tensor: Tensor) -> None:
        """Write the n-th output into this tensor, which the device's memory has allocated, from now on."""

    def __call__(self, stop: Stop | None = None) -> None:
        """Run once; what was written is complete when this returns. `stop` ends the run, which then raises RunStopped.

        Raises RunError, also where a result has another shape than what it is to be written into.
        """


class Kernel(Protocol):
    """Compiled nodes. Many threads may call it, and its calls, at once."""

    @property
    def captures(self) -> bool:
        """Whether a call keeps to the thread of its first run, and to the tensors that it had then."""

    def run(self, ports: Ports, reads: Sequence[Tensor], stop: Stop | None = None) -> Sequence[Tensor]:
        """Run once with tensors of any shape, in the device's memory; the results are new ones there."""

    def bind(self, ports: Ports, reads: Sequence[Tensor], writes: Sequence[Tensor]) -> Call:
        """Bind tensors of one shape. A kernel that captures does so in the call's first run."""


class Engine(Protocol):
    """One way to run nodes."""

    name: str
    optimizes: bool
    """Whether it rewrites graphs itself, so that no rewrite of ours gains it anything."""

    @property
    def version(self) -> str:
        """What measurements hold for."""

    def problem(self, device: str, /) -> str:
        """Why it cannot run on a device of this name here, and what to install; empty where it can."""

    def refusal(self, options: Options, device: str, /) -> str:
        """What is wrong with a stage of these options on a device, said after its number; empty where nothing is."""

    def choices(self, lanes: int, weights: WeightFormat, /) -> Sequence[Options]:
        """The options that are worth measuring for a kernel on so many lanes, the plainest first; none where fewer
        lanes do as well. With `weights` that are rounded also those that round them, where it can."""

    def claims(self, graph: "Graph", device: str, /) -> Sequence[Collection[int]]:
        """Sets of nodes that it takes on a device, each as one kernel, as large as they can be; no node is in two."""

    def takes(self, graph: "Graph", nodes: Collection[int], device: str, /) -> bool:
        """Whether it takes just these nodes on a device as one kernel."""

    def bytes(self, graph: "Graph", nodes: Collection[int], device: str, options: Options, /) -> KernelBytes:
        """What a kernel of these nodes takes, told before it is loaded."""

    def compile(self, path: Path, site: Site, options: Options, /) -> Kernel:
        """Compile a sub-model's file. Raises PlanRefused, DeviceUnavailable."""
