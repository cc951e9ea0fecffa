"""ONNX Runtime as an engine: any node, on the CPU and on NVIDIA GPUs."""

from collections.abc import Collection, Sequence
from pathlib import Path

import onnx
import onnxruntime as ort

from chrion_api import ONNXRUNTIME, Optimization, Options, WeightFormat
from chrion_graph.graph import Graph
from chrion_graph.load import graphs
from chrion_graph.ort import brief
from chrion_graph.recurrent import RECURRENT
from chrion_graph.types import tensor_bytes
from chrion_runtime.devices import traits_of
from chrion_runtime.devices.run_memory import RUN_MEMORY, no_room_for_weights
from chrion_runtime.engines.engine import Kernel, KernelBytes, Site
from chrion_runtime.engines.onnxruntime.arena import ARENA
from chrion_runtime.engines.onnxruntime.failure import is_out_of_memory
from chrion_runtime.engines.onnxruntime.kernel import SessionKernel
from chrion_runtime.engines.onnxruntime.sessions import session_options
from chrion_runtime.errors import PlanRefused


class OnnxRuntime:
    """See `Engine`. Options: `optimization` (All; else nothing is optimised), `capture` (a CUDA graph)."""

    name = ONNXRUNTIME
    optimizes = False

    @property
    def version(self) -> str:
        return str(ort.__version__)

    def problem(self, _device: str) -> str:
        """See `Engine`. A device whose provider is missing cannot be opened."""
        return ""

    def refusal(self, options: Options, device: str) -> str:
        if unknown := options.keys() - {"optimization", "capture"}:
            return f"has an option that ONNX Runtime does not know: {min(unknown)}"
        if options.get("optimization", "None") not in tuple(Optimization):
            return f"has the optimization {str(options['optimization'])[:60]!r}, which must be All or None"
        if not isinstance(options.get("capture", False), bool):
            return f"has the capture {str(options['capture'])[:60]!r}, which must be true or false"
        if options.get("capture") and not traits_of(device).captures:
            return f"is a CUDA graph, which {device} cannot run"
        return ""

    def choices(self, _lanes: int, _weights: WeightFormat) -> Sequence[Options]:
        """See `Engine`."""
        return {}, {"optimization": str(Optimization.ALL)}

    def claims(self, graph: Graph, _device: str) -> Sequence[Collection[int]]:
        """See `Engine`. All nodes; a device that lacks a kernel for one refuses to compile it."""
        return [range(len(graph.nodes))]

    def takes(self, _graph: Graph, _nodes: Collection[int], _device: str) -> bool:
        """See `Engine`."""
        return True

    def bytes(self, graph: Graph, nodes: Collection[int], device: str, _options: Options) -> KernelBytes:
        """See `Engine`. Weights; cuDNN keeps a second, packed copy of recurrent ones."""
        copies = traits_of(device).recurrent_copies
        weights = sum(
            graph.constant_bytes(node) * (copies if graph.nodes[node].op_type in RECURRENT else 1) for node in nodes
        )
        return KernelBytes(device=weights)

    def compile(self, path: Path, site: Site, options: Options) -> Kernel:
        """See `Engine`. Raises DeviceUnavailable, PlanRefused."""
        device, captures = site.device, bool(options.get("capture"))
        found = session_options(
            site.lanes, Optimization(str(options.get("optimization", Optimization.NONE))), site.spin
        )
        if device.traits.provider:
            from chrion_runtime.engines.onnxruntime.cuda.kernel import compile_for_cuda

            return compile_for_cuda(path, site, found, captures)
        ARENA.share(found)
        try:
            session = ort.InferenceSession(path, found, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001, ONNX Runtime raises many types
            if is_out_of_memory(str(error)):
                raise no_room_for_weights(RUN_MEMORY.limit) from None
            raise PlanRefused(f"{device.name} cannot load a stage, plan again: {brief(error)}") from None
        if not device.memory.on_host:
            device.memory.charge(session, _weight_bytes(path))
        return SessionKernel(session, device.memory, captures)


def _weight_bytes(path: Path) -> int:
    model = onnx.load(path, load_external_data=False)
    stored = [tensor for graph in graphs(model) for tensor in graph.initializer]
    return sum(tensor_bytes(tensor.data_type, tuple(tensor.dims)) for tensor in stored)


ENGINE = OnnxRuntime()
