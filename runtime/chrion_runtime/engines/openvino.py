"""OpenVINO as an engine: whole parts of a graph on the CPU, in 32-bit floats, on the lanes of the stage alone."""

import queue
from collections.abc import Collection, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from onnx import TensorProto

from chrion_api import HOST, Options, WeightFormat
from chrion_api.one_line import one_line
from chrion_graph.attributes import integer
from chrion_graph.graph import Graph
from chrion_runtime.devices import HostTensor, Tensor
from chrion_runtime.engines.engine import Call, Kernel, KernelBytes, Ports, Site
from chrion_runtime.errors import PlanRefused, RunError, RunStopped, UnfitValues
from chrion_runtime.servable import Array
from chrion_runtime.stop import Stop

_REFUSED = frozenset({TensorProto.STRING, TensorProto.DOUBLE, TensorProto.UINT64})
"""Element types that it does not compute with, or in 32 bits."""


class OpenVino:
    """See `Engine`. It has no options."""

    name = "openvino"
    optimizes = True

    @property
    def version(self) -> str:
        """See `Engine`."""
        try:
            return version("openvino")
        except PackageNotFoundError:
            return ""

    def problem(self, device: str) -> str:
        """See `Engine`."""
        if device != HOST:
            return f"it does not run on {device}; plan again"
        return "" if self.version else "openvino is not installed; install chrion[openvino]"

    def refusal(self, options: Options, _device: str) -> str:
        """See `Engine`."""
        return f"has an option that OpenVINO does not know: {min(options)}" if options else ""

    def choices(self, _lanes: int, _weights: WeightFormat) -> Sequence[Options]:
        """See `Engine`."""
        return ({},)

    def claims(self, graph: Graph, device: str) -> Sequence[Collection[int]]:
        """See `Engine`. All nodes or none: what it cannot convert it says of the whole.

        It computes with 32 bits, which shapes and indices fit in, but not all integers of a request or of a Cast.
        """
        kinds = {kind.element for kind in graph.types.values() if kind is not None}
        wide = any(kind is not None and kind.element == TensorProto.INT64 for kind in graph.inputs.values()) or any(
            node.op_type == "Cast" and integer(node, "to", 0) == TensorProto.INT64 for node in graph.nodes
        )
        return [] if device != HOST or kinds & _REFUSED or wide else [range(len(graph.nodes))]

    def takes(self, graph: Graph, _nodes: Collection[int], device: str) -> bool:
        """See `Engine`. Any part of what it takes whole."""
        return bool(self.claims(graph, device))

    def bytes(self, graph: Graph, nodes: Collection[int], _device: str, _options: Options) -> KernelBytes:
        """See `Engine`. Weights, and the copy of them that it packs."""
        return KernelBytes(host=2 * sum(graph.constant_bytes(node) for node in nodes))

    def compile(self, path: Path, site: Site, _options: Options) -> Kernel:
        """See `Engine`. Raises PlanRefused."""
        config = {
            "INFERENCE_NUM_THREADS": site.lanes,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
            # It would otherwise round to bfloat16 where the processor can.
            "INFERENCE_PRECISION_HINT": "f32",
            "EXECUTION_MODE_HINT": "ACCURACY",
        }
        try:
            import openvino

            compiled = openvino.Core().compile_model(path, "CPU", config)
        except (ImportError, RuntimeError) as error:
            raise PlanRefused(f"OpenVINO cannot load a stage; plan again: {one_line(str(error), 300)}") from None
        kinds = {port.element_type.to_string() for port in (*compiled.inputs, *compiled.outputs)}
        if refused := kinds & {"string", "f64", "u64"}:
            raise PlanRefused(f"OpenVINO does not support {min(refused)}; plan again")
        return OpenVinoKernel(compiled)


class OpenVinoKernel:
    """A compiled model. Requests run one after another on its threads, whoever makes them."""

    captures = False

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def run(self, ports: Ports, reads: Sequence[Tensor], stop: Stop | None = None) -> Sequence[Tensor]:
        """See `Kernel`. Raises RunError, RunStopped."""
        try:
            request = self._idle.get_nowait()
        except queue.Empty:
            request = self._compiled.create_infer_request()
        held = [_shared(tensor) for tensor in reads]  # until it has run: a request holds nothing
        for name, tensor in zip(ports.reads, held, strict=True):
            request.set_tensor(name, tensor)
        _infer(request, stop)
        found: list[Array] = [np.array(request.get_tensor(name).data) for name in ports.writes]
        self._idle.put(request)
        return found

    def bind(self, ports: Ports, reads: Sequence[Tensor], writes: Sequence[Tensor]) -> Call:
        """See `Kernel`."""
        return OpenVinoCall(self._compiled.create_infer_request(), ports, reads, writes)


class OpenVinoCall:
    """A request with tensors of its own."""

    def __init__(self, request: Any, ports: Ports, reads: Sequence[Tensor], writes: Sequence[Tensor]) -> None:
        self._request = request
        self._ports = ports
        self._held: dict[str, Any] = {}
        self._writes = list(writes)
        for place, tensor in enumerate(reads):
            self.read(place, tensor)
        for place, tensor in enumerate(writes):
            self.write(place, tensor)

    def read(self, place: int, tensor: Tensor) -> None:
        self._bind(self._ports.reads[place], tensor)

    def write(self, place: int, tensor: Tensor) -> None:
        self._writes[place] = tensor
        self._bind(self._ports.writes[place], tensor)

    def _bind(self, name: str, tensor: Tensor) -> None:
        self._held[name] = _shared(tensor)
        self._request.set_tensor(name, self._held[name])

    def __call__(self, stop: Stop | None = None) -> None:
        """See `Call`. Raises RunError, RunStopped."""
        _infer(self._request, stop)
        for place, tensor in enumerate(self._writes):
            name = self._ports.writes[place]
            if tuple(self._request.get_tensor(name).shape) != tensor.shape:
                if isinstance(tensor, HostTensor):
                    tensor.bound = None  # what was made of it has shrunk
                self.write(place, tensor)
                raise UnfitValues(f"a result does not have the shape {tensor.shape} that was bound for it")


def _infer(request: Any, stop: Stop | None) -> None:
    run = _Run(request)
    if stop is not None:
        stop.check()
    request.start_async()
    if stop is not None:
        stop.on_set(run.cancel)
    try:
        request.wait()
    except RuntimeError as error:
        if stop is not None and stop.is_set:
            raise RunStopped from None
        raise RunError(f"the model fails on these values: {one_line(str(error), 300)}") from None
    finally:
        run.end()


class _Run:
    """One run of a request: whoever ends it later, ends no other of the same request."""

    def __init__(self, request: Any) -> None:
        self._request: Any = request
        self._guard = Lock()

    def cancel(self) -> None:
        with self._guard:
            if self._request is not None:
                self._request.cancel()

    def end(self) -> None:
        with self._guard:
            self._request = None


def _shared(tensor: Tensor) -> Any:
    """OpenVINO's tensor over the same memory, or over a copy of what cannot be shared; what is bound again keeps it."""
    import openvino

    if isinstance(tensor, HostTensor) and isinstance(tensor.bound, openvino.Tensor):
        return tensor.bound
    array = np.require(np.asarray(tensor), requirements=["C", "W"])
    # NumPy's `long long` is its `long` here, which it knows.
    kind = np.dtype(array.dtype.str) if array.dtype.isbuiltin == 1 else array.dtype
    found = openvino.Tensor(array.view(kind), shared_memory=True)
    if isinstance(tensor, HostTensor):
        tensor.bound = found
    return found


ENGINE = OpenVino()
