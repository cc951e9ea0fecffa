"""An engine in plain Python, with all that an engine may have: threads of its own, an end, a layout, bytes, options."""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from chrion_api import Options, WeightFormat
from chrion_graph.graph import Graph
from chrion_runtime import engines
from chrion_runtime.devices import Tensor
from chrion_runtime.engines import Call, Kernel, KernelBytes, Ports, Site
from chrion_runtime.errors import PlanRefused, RunStopped
from chrion_runtime.stop import Stop

NAME = "python"
OPERATORS: dict[str, Callable[..., NDArray[Any]]] = {
    "Add": np.add,
    "MatMul": np.matmul,
    "Mul": np.multiply,
    "Neg": np.negative,
    "Tanh": np.tanh,
}


class Packed:
    """A tensor whose elements lie backwards; only `numpy.asarray` turns them round."""

    opened = 0

    def __init__(self, array: NDArray[Any]) -> None:
        self.backwards = array.ravel()[::-1].copy()
        self.shape, self.dtype, self.nbytes = array.shape, array.dtype, array.nbytes

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        Packed.opened += 1
        return np.array(self.backwards[::-1].reshape(self.shape), dtype)


class PythonEngine:
    """See `Engine`. Options: `packed`, whether results are in its own layout."""

    name = NAME
    version = "1"
    optimizes = True
    missing = ""
    """Why it is not there."""
    compiled: ClassVar[list["PythonKernel"]] = []

    def problem(self, device: str) -> str:
        return self.missing or ("" if device == "cpu" else f"it does not run on {device}; plan again")

    def refusal(self, options: Options, device: str) -> str:
        return f"has an option that Python has not: {min(options)}" if options.keys() - {"packed"} else ""

    def choices(self, lanes: int, _weights: WeightFormat) -> Sequence[Options]:
        return {}, {"packed": True}

    def claims(self, graph: Graph, device: str) -> Sequence[Collection[int]]:
        return [{index} for index, node in enumerate(graph.nodes) if node.op_type in OPERATORS]

    def takes(self, graph: Graph, nodes: Collection[int], device: str) -> bool:
        return all(graph.nodes[node].op_type in OPERATORS for node in nodes)

    def bytes(self, graph: Graph, nodes: Collection[int], device: str, options: Options) -> KernelBytes:
        return KernelBytes(host=sum(graph.constant_bytes(node) for node in nodes))

    def compile(self, path: Path, site: Site, options: Options) -> Kernel:
        model = onnx.load(path)
        if missing := {node.op_type for node in model.graph.node} - OPERATORS.keys():
            raise PlanRefused(f"Python has no {min(missing)}")
        kernel = PythonKernel(model, site, bool(options.get("packed")))
        PythonEngine.compiled.append(kernel)
        return kernel


class PythonKernel:
    """Runs node by node, each over all lanes that it was compiled for."""

    captures = False

    def __init__(self, model: onnx.ModelProto, site: Site, packed: bool) -> None:
        self.site = site
        self._model, self._packed = model, packed
        self._constants = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
        self._pool = ThreadPoolExecutor(site.lanes, "python-kernel")
        self.threads: set[str] = set()
        """Those that have computed."""
        self.at_once = self.most_at_once = 0
        """Calls under way, now and at most."""
        self.before_node: Callable[[], object] = lambda: None
        self._guard = threading.Lock()

    def run(self, ports: Ports, reads: Sequence[Tensor], stop: Stop | None = None) -> list[Tensor]:
        values = self.values(ports, reads, stop)
        return [Packed(values[name]) if self._packed else values[name] for name in ports.writes]

    def bind(self, ports: Ports, reads: Sequence[Tensor], writes: Sequence[Tensor]) -> Call:
        return PythonCall(self, ports, reads, writes)

    def values(self, ports: Ports, reads: Sequence[Tensor], stop: Stop | None) -> dict[str, NDArray[Any]]:
        with self._guard:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            known = {**self._constants, **dict(zip(ports.reads, map(_opened, reads), strict=True))}
            for node in self._model.graph.node:
                self.before_node()
                if stop is not None and stop.is_set:
                    raise RunStopped
                known[node.output[0]] = self._node(OPERATORS[node.op_type], [known[name] for name in node.input])
            return known
        finally:
            with self._guard:
                self.at_once -= 1

    def _node(self, operator: Callable[..., NDArray[Any]], inputs: Sequence[NDArray[Any]]) -> NDArray[Any]:
        def part(rows: slice) -> NDArray[Any]:
            self.threads.add(threading.current_thread().name)
            return operator(*(array[rows] if array.shape[:1] == inputs[0].shape[:1] else array for array in inputs))

        count = inputs[0].shape[0]
        edges = [count * lane // self.site.lanes for lane in range(self.site.lanes + 1)]
        return np.concatenate(list(self._pool.map(part, map(slice, edges, edges[1:]))))


class PythonCall:
    """Values bound in advance."""

    def __init__(self, kernel: PythonKernel, ports: Ports, reads: Sequence[Tensor], writes: Sequence[Tensor]) -> None:
        self._kernel, self._ports, self._reads, self._writes = kernel, ports, list(reads), list(writes)

    def read(self, place: int, tensor: Tensor) -> None:
        self._reads[place] = tensor

    def write(self, place: int, tensor: Tensor) -> None:
        self._writes[place] = tensor

    def __call__(self, stop: Stop | None = None) -> None:
        values = self._kernel.values(self._ports, self._reads, stop)
        for name, tensor in zip(self._ports.writes, self._writes, strict=True):
            np.copyto(np.asarray(tensor), values[name])


def _opened(tensor: Tensor) -> NDArray[Any]:
    return tensor.backwards[::-1].reshape(tensor.shape) if isinstance(tensor, Packed) else np.asarray(tensor)


ENGINE = PythonEngine()


@contextmanager
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The engine among the others, inside the block."""
    monkeypatch.setitem(engines.ENGINES, NAME, __name__)
    engines.engine_named.cache_clear()
    PythonEngine.compiled.clear()
    try:
        yield
    finally:
        engines.engine_named.cache_clear()
