"""OpenVINO as an engine: whole parts of a graph on the CPU, in 32-bit floats, on the lanes of the stage alone."""

import queue
from collections.abc import Collection, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from chrion_api import HOST, Options
from chrion_graph.graph import Graph
from chrion_graph.types import STRING
from chrion_runtime.devices import Device, HostTensor, Tensor
from chrion_runtime.engines.engine import Call, Kernel, KernelBytes, Ports, Site
from chrion_runtime.errors import PlanRefused, RunError, RunStopped
from chrion_runtime.servable import Array
from chrion_runtime.stop import Stop


class OpenVino:
    """See `Engine`. It has no options."""

    name = "openvino"
    choices: Sequence[Options] = ({},)

    @property
    def version(self) -> str:
        try:
            return version("openvino")
        except PackageNotFoundError:
            return ""

    def problem(self, device: str) -> str:
        if device != HOST:
            return f"it does not run on {device}; plan again"
        return "" if self.version else "openvino is not installed; install chrion[openvino]"

    def refusal(self, options: Options, _device: str) -> str:
        return f"has an option that OpenVINO has not: {min(options)}" if options else ""

    def claims(self, graph: Graph, device: Device) -> Sequence[Collection[int]]:
        """See `Engine`. All nodes or none: what it cannot convert it says of the whole."""
        strings = any(kind is not None and kind.element == STRING for kind in graph.types.values())
        return [range(len(graph.nodes))] if device.name == HOST and not strings else []

    def bytes(self, graph: Graph, nodes: Collection[int], _device: str, _options: Options) -> KernelBytes:
        """See `Engine`. Weights, and the copy of them that it packs."""
        return KernelBytes(host=2 * sum(graph.constant_bytes(node) for node in nodes))

    def compile(self, path: Path, site: Site, _options: Options) -> Kernel:
        """See `Engine`. Raises PlanRefused."""
        import openvino

        config = {
            "INFERENCE_NUM_THREADS": site.lanes,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
            # It would otherwise round to bfloat16 where the processor can.
            "INFERENCE_PRECISION_HINT": "f32",
            "EXECUTION_MODE_HINT": "ACCURACY",
        }
        try:
            return OpenVinoKernel(openvino.Core().compile_model(path, "CPU", config))
        except RuntimeError as error:
            said = " ".join(str(error).split())
            raise PlanRefused(f"OpenVINO cannot load a stage, plan again: {said[-300:]}") from None


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
        for name, tensor in zip(ports.reads, reads, strict=True):
            request.set_tensor(name, _shared(tensor))
        _infer(request, stop)
        found: list[Array] = [np.array(request.get_tensor(name).data) for name in ports.writes]
        self._idle.put(request)
        return found

    def bind(self, ports: Ports, reads: Sequence[Tensor], writes: Sequence[Tensor]) -> Call:
        return OpenVinoCall(self._compiled.create_infer_request(), ports, reads, writes)


class OpenVinoCall:
    """A request with tensors of its own."""

    def __init__(self, request: Any, ports: Ports, reads: Sequence[Tensor], writes: Sequence[Tensor]) -> None:
        self._request = request
        self._ports = ports
        for place, tensor in enumerate(reads):
            self.read(place, tensor)
        for place, tensor in enumerate(writes):
            self.write(place, tensor)

    def read(self, place: int, tensor: Tensor) -> None:
        self._request.set_tensor(self._ports.reads[place], _shared(tensor))

    def write(self, place: int, tensor: Tensor) -> None:
        self._request.set_tensor(self._ports.writes[place], _shared(tensor))

    def __call__(self, stop: Stop | None = None) -> None:
        """See `Call`. Raises RunError, RunStopped."""
        _infer(self._request, stop)


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
        said = " ".join(str(error).split())
        raise RunError(f"the model fails on these values: {said[-300:]}") from None
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
    """OpenVINO's tensor over the same memory; what is bound again keeps it."""
    import openvino

    if isinstance(tensor, HostTensor):
        if not isinstance(tensor.bound, openvino.Tensor):
            tensor.bound = openvino.Tensor(tensor.array, shared_memory=True)
        return tensor.bound
    return openvino.Tensor(np.ascontiguousarray(np.asarray(tensor)), shared_memory=True)


ENGINE = OpenVino()
