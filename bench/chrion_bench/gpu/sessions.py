"""Plain sessions of ONNX Runtime on the accelerator: what a model takes without Chrion."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from chrion_bench.gpu.accelerator import TENSORRT_PROVIDER, Accelerator, Providers
from chrion_planner.measuring import Arrays
from chrion_planner.measuring.contender import Runner, Used
from chrion_runtime.devices import open_devices
from chrion_runtime.errors import DeviceUnavailable

ORIGINAL = "onnxruntime-gpu"
BOUND = "onnxruntime-gpu-bound"
GRAPH = "onnxruntime-gpu-graph"
TENSORRT = "onnxruntime-tensorrt"
PLACED = "onnxruntime-placed"
"""With the part of the budget behind it."""

STATS = "node-memory.csv"
"""Beside the model, where ONNX Runtime looks for it: what each node takes."""
_PARTS = (0.25, 0.5, 0.75)
"""Budgets, as parts of what all nodes take by ONNX Runtime's own count."""
_FRUGAL = {"arena_extend_strategy": "kSameAsRequested"}
"""Take no more memory than is asked for: what somebody would set who counts it."""


@dataclass(frozen=True)
class AcceleratorSession:
    """The original model in one session, every optimisation on."""

    name: str
    model: Path
    feeds: Mapping[str, NDArray[Any]]
    providers: Providers
    device: str
    """Whose memory is counted, where it is a GPU."""
    threads: int = 0
    bound: str = ""
    """The memory that its values are bound in, each with a copy from and to the host; empty to run on numpy arrays."""
    config: Mapping[str, str] = field(default_factory=dict)
    memory_pattern: bool = True

    @property
    def needs_address_space(self) -> bool:
        return self.providers[0][0] != "CPUExecutionProvider"

    def load(self) -> Runner:
        """Load it. Raises DeviceUnavailable where ONNX Runtime silently falls back to another provider."""
        return _Runner(self)


class _Runner:
    def __init__(self, contender: AcceleratorSession) -> None:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = contender.threads
        options.enable_mem_pattern = contender.memory_pattern
        for key, value in contender.config.items():
            options.add_session_config_entry(key, value)
        wanted = contender.providers[0][0]
        # Opened first: it finds CUDA's libraries, and notes what others take of the GPU.
        name = contender.device
        self._device = open_devices([name])[name] if contender.needs_address_space else None
        providers = [(name, dict(settings)) for name, settings in contender.providers]
        self._session = ort.InferenceSession(contender.model, options, providers=providers, enable_fallback=0)
        if self._session.get_providers()[0] != wanted:
            raise DeviceUnavailable(f"{contender.name}: ONNX Runtime fell back to {self._session.get_providers()[0]}")
        self._contender = contender
        self._names = [output.name for output in self._session.get_outputs()]
        self._feeds = {name: np.ascontiguousarray(array) for name, array in contender.feeds.items()}
        if contender.bound:
            self._bind(contender.bound, int(contender.device.partition(":")[2]))

    def _bind(self, memory: str, index: int) -> None:
        """Bind every input and output to one place for good, as CUDA graphs want it."""
        index = index if memory != "cpu" else 0
        shaped = self._shapes()
        self._binding = self._session.io_binding()
        self._inputs = {
            name: ort.OrtValue.ortvalue_from_numpy(array, memory, index) for name, array in self._feeds.items()
        }
        self._outputs = {
            name: ort.OrtValue.ortvalue_from_shape_and_type(shape, dtype, memory, index)
            for name, (shape, dtype) in shaped.items()
        }
        for name, value in self._inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        for name, value in self._outputs.items():
            self._binding.bind_ortvalue_output(name, value)

    def _shapes(self) -> dict[str, tuple[list[int], Any]]:
        """Shape and type of each output for these feeds, from a run on the CPU: it leaves no trace on the device."""
        session = ort.InferenceSession(self._contender.model, providers=["CPUExecutionProvider"])
        found = session.run(self._names, self._feeds)
        return {name: (list(value.shape), value.dtype.type) for name, value in zip(self._names, found, strict=True)}

    def run(self) -> Arrays:
        if not self._contender.bound:
            return dict(zip(self._names, self._session.run(self._names, self._feeds), strict=True))
        for name, array in self._feeds.items():
            self._inputs[name].update_inplace(array)
        self._session.run_with_iobinding(self._binding)
        return {name: value.numpy() for name, value in self._outputs.items()}

    def used(self) -> Used | None:
        taken = self._device.memory.used() if self._device else None
        return Used(taken, self._device.memory.used_from) if taken and self._device else None


def originals(
    accelerator: Accelerator, model: Path, feeds: Mapping[str, NDArray[Any]], tensorrt: bool
) -> list[AcceleratorSession]:
    """The model all on the accelerator, the default session first: gains are counted from it.

    It is run as people call it, with numpy arrays and ONNX Runtime's own settings. The bound one has its values in
    place and an arena that takes what it needs; the one with a CUDA graph is bound, too.
    """
    plain = AcceleratorSession(
        ORIGINAL,
        model,
        feeds,
        accelerator.providers(),
        accelerator.device,
        threads=accelerator.threads,
    )
    bound = replace(plain, name=BOUND, bound=accelerator.memory, providers=accelerator.providers(**_FRUGAL))
    graph = replace(bound, name=GRAPH, providers=accelerator.providers(**_FRUGAL, enable_cuda_graph="1"))
    found = [plain, bound, graph]
    if tensorrt:
        engine = (TENSORRT_PROVIDER, {"device_id": str(accelerator.index)})
        found.append(replace(plain, name=TENSORRT, providers=(engine, *accelerator.providers())))
    return found


def placed(
    original: AcceleratorSession, accelerator: Accelerator, budgets: Mapping[str, int]
) -> list[AcceleratorSession]:
    """ONNX Runtime's own placement under each budget, in KiB by its part of the whole, by the model's `STATS`."""
    return [
        replace(
            original,
            name=f"{PLACED}-{part}",
            providers=accelerator.providers(**_FRUGAL),
            config={"session.resource_cuda_partitioning_settings": f"{kib},{STATS}"},
        )
        for part, kib in budgets.items()
    ]


def collect(original: AcceleratorSession) -> None:
    """Have ONNX Runtime write what each node takes to `STATS` beside the model."""
    config = {"session.collect_node_memory_stats_to_file": STATS}
    replace(original, config=config, memory_pattern=False).load().run()


def budgets(stats: str, parts: Sequence[float] = _PARTS) -> dict[str, int]:
    """Budgets in KiB, by their part of what all nodes take; two that come to the same count once.

    `stats` is what `collect` wrote: a header, then for each node its name and bytes of four kinds.
    """
    rows: Iterable[list[str]] = csv.reader(io.StringIO(stats))
    whole = sum(int(cell) for row in rows if not row[0].startswith("#") for cell in row[1:])
    found = {max(1, round(whole * part / 1024)): f"{part:.0%}" for part in reversed(parts)}
    return {part: kib for kib, part in reversed(found.items())}
