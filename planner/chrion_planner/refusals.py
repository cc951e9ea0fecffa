"""Which nodes a device refuses: ONNX Runtime is asked, or a profile for which it was.

No list of operators is kept: what a provider takes depends on its version, on attributes and on element types.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray

from chrion_api import HOST, ONNXRUNTIME, Profile
from chrion_graph.cut import cut
from chrion_graph.graph import Graph
from chrion_graph.limits import Limits
from chrion_graph.model_worker import ModelWorker
from chrion_graph.observe import observe
from chrion_graph.signature import signature
from chrion_graph.worker import ForkServer
from chrion_runtime.devices import Device, open_devices, traits_of
from chrion_runtime.engines import Site, engine_named

Refusals = Callable[[Mapping[str, NDArray[Any]], Graph, Sequence[int]], Collection[int]]
"""From inputs, a graph and some of its nodes to those of them that a device refuses."""


def nobody(feeds: Mapping[str, NDArray[Any]], graph: Graph, nodes: Sequence[int]) -> Collection[int]:
    """Devices that take every node."""
    del feeds, graph, nodes
    return ()


def asked(devices: Sequence[str], limits: Limits, server: ForkServer | None = None) -> Refusals:
    """The refusals of these devices of this machine: each node is loaded alone, in a worker process.

    Raises DeviceUnavailable when asked, LimitExceeded where loading takes too long.
    """
    others = [name for name in devices if name != HOST]

    def refusals(feeds: Mapping[str, NDArray[Any]], graph: Graph, nodes: Sequence[int]) -> Collection[int]:
        del feeds
        if not others:
            return ()
        model = graph.model.SerializeToString()
        # CUDA reserves far more address space than it uses.
        memory = None if any(traits_of(name).reserves_address_space for name in others) else limits.memory
        with ModelWorker(memory, server=server) as worker:
            return worker.call(
                _ask, others, model, graph.folder, tuple(nodes), seconds=limits.seconds, what="asking devices for nodes"
            )

    return refusals


def known(profile: Profile, limits: Limits) -> Refusals:
    """The refusals that a profile knows of. Raises ModelError when asked, where the model cannot be run."""

    def refusals(feeds: Mapping[str, NDArray[Any]], graph: Graph, nodes: Sequence[int]) -> Collection[int]:
        if all(None not in device.nodes.values() for device in profile.devices):
            return ()
        shapes = observe(graph, feeds, limits)
        names = {index: signature(graph, index, shapes) for index in nodes}
        return [
            index
            for index, name in names.items()
            if any(name in device.nodes and device.nodes[name] is None for device in profile.devices)
        ]

    return refusals


def _ask(devices: Sequence[str], model: bytes, folder: Path, nodes: Sequence[int]) -> list[int]:
    graph = Graph(onnx.load_from_string(model), folder)
    opened = [device for name, device in open_devices(devices).items() if name != HOST]
    return [index for index in nodes if any(refuses(device, graph, index) for device in opened)]


def refuses(device: Device, graph: Graph, index: int) -> bool:
    """Whether the device cannot load a node that stands alone: it, or ONNX Runtime on its behalf, raises an error."""
    if device.name == HOST:
        return False
    path = graph.folder / f"probe-{time.monotonic_ns()}.onnx"
    try:
        onnx.save(cut(graph, [index]).model, path)
        engine_named(ONNXRUNTIME).compile(path, Site(device, 1), {})
    except Exception:  # noqa: BLE001, ONNX Runtime raises many types
        return True
    finally:
        path.unlink(missing_ok=True)
    return False
