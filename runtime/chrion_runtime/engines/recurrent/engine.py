"""The engine `recurrent`: stacks of LSTM, GRU and RNN layers by Chrion's own kernels, on the CPU."""

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from onnx import numpy_helper

from chrion_api import HOST, WEIGHTS, Options, WeightFormat
from chrion_graph.graph import Graph
from chrion_graph.recurrent import is_recurrent
from chrion_runtime.engines.engine import Kernel, KernelBytes, Site
from chrion_runtime.engines.recurrent.claims import claimed
from chrion_runtime.engines.recurrent.kernel import LoadedStack, StackKernel, Team
from chrion_runtime.engines.recurrent.layers import PackedLayer, packed_layer
from chrion_runtime.engines.recurrent.library import INTERFACE, LibraryMissing, library
from chrion_runtime.engines.recurrent.reading import NoStack, read_stack
from chrion_runtime.engines.recurrent.stack import SHARING, Level
from chrion_runtime.errors import PlanRefused

REQUIRED = "CHRION_REQUIRE_RECURRENT"
"""Where this is 1 a missing library is an error: ONNX Runtime does not quietly stand in for it."""


SPINNING, BRIEFLY, LONGEST_PATIENCE = 1e-3, 5e-5, 1.0
"""Seconds for which helpers wait actively for the next run: where the cores are the kernel's alone, where others want
them, and at most."""


class Recurrent:
    """See `Engine`. Options: `weights`, as what those are kept; and of kernels on several lanes `sharing`, how they
    share a run, and `patience`, for how many seconds helpers wait actively for the next one."""

    name = "recurrent"
    optimizes = False

    @property
    def version(self) -> str:
        """See `Engine`. It changes when answers or times do."""
        return f"{INTERFACE}"

    def problem(self, device: str) -> str:
        """See `Engine`. Raises PlanRefused where it must be there, and is not."""
        if device != HOST:
            return f"it does not run on {device}; plan again"
        try:
            library()
        except LibraryMissing as error:
            if os.environ.get(REQUIRED) == "1":
                raise PlanRefused(f"the recurrent kernels are missing, and {REQUIRED} is 1: {error}") from None
            return f"the recurrent kernels are missing: {error}"
        return ""

    def refusal(self, options: Options, _device: str) -> str:
        """See `Engine`."""
        if unknown := options.keys() - {"sharing", "patience", WEIGHTS}:
            return f"has an option that the recurrent kernels do not know: {min(unknown)}"
        for name, known in (("sharing", SHARING), (WEIGHTS, tuple(WeightFormat))):
            if options.get(name, known[0]) not in known:
                return f"has the {name} {str(options[name])[:60]!r}; choose one of {', '.join(known)}"
        patience = options.get("patience", 0)
        if isinstance(patience, (bool, str)) or not 0 <= patience <= LONGEST_PATIENCE:
            return f"has the patience {str(patience)[:60]!r}, which must be from 0 to {LONGEST_PATIENCE:g} s"
        return ""

    def choices(self, lanes: int, weights: WeightFormat) -> Sequence[Options]:
        """See `Engine`."""
        exact: list[Options] = [{}] if lanes == 1 else [{"sharing": sharing} for sharing in SHARING[1:]]
        rounded = [{**options, WEIGHTS: weights.value} for options in exact if weights is not WeightFormat.FLOAT32]
        return [*exact, *rounded]

    def claims(self, graph: Graph, device: str) -> Sequence[Collection[int]]:
        """See `Engine`. Stacks of layers, with what exporters put between them."""
        return claimed(graph) if device == HOST else []

    def takes(self, graph: Graph, nodes: Collection[int], device: str) -> bool:
        """See `Engine`."""
        try:
            read_stack(graph, nodes)
        except NoStack:
            return False
        return device == HOST

    def bytes(self, graph: Graph, nodes: Collection[int], _device: str, options: Options) -> KernelBytes:
        """See `Engine`. Weights as they are packed; those of ONNX Runtime's copy are not kept."""
        packed = sum(graph.constant_bytes(node) for node in nodes if is_recurrent(graph.nodes[node]))
        return KernelBytes(host=packed * WeightFormat.of(options).bytes // WeightFormat.FLOAT32.bytes)

    def compile(self, path: Path, site: Site, options: Options) -> Kernel:
        """See `Engine`. Raises PlanRefused."""
        if problem := self.problem(site.device.name):
            raise PlanRefused(problem)
        graph = Graph.load(path.parent, path.name)
        try:
            stack = read_stack(graph, range(len(graph.nodes)))
        except NoStack:
            raise PlanRefused("the recurrent kernels cannot run a stage's nodes; plan again") from None
        views = [view for level in stack.levels for view in (level.first_hidden, level.first_cell) if view]
        names = {view.source for view in (stack.x, *views) if isinstance(view.source, str)} | {stack.lengths}
        constants = {name: _array(graph, name) for name in names if name in graph.constants}
        layers = [_packed(graph, level, WeightFormat.of(options)) for level in stack.levels]
        return StackKernel(LoadedStack(stack, library(), layers, constants, _team(site, options)))


def _team(site: Site, options: Options) -> Team | None:
    sharing = str(options.get("sharing", SHARING[0]))
    if site.lanes < 2 or sharing == SHARING[0]:
        return None
    patience = float(options.get("patience", SPINNING if site.spin else BRIEFLY))
    return Team(library(), site.lanes - 1, sharing, patience)


def _packed(graph: Graph, level: Level, kept: WeightFormat) -> list[PackedLayer]:
    weights = [_array(graph, name) if name else None for name in level.weights]
    return [
        packed_layer(library(), level, direction, [None if one is None else one[side] for one in weights], kept)
        for side, direction in enumerate(level.directions)
    ]


def _array(graph: Graph, name: str) -> NDArray[Any]:
    return numpy_helper.to_array(graph.constants[name], base_dir=str(graph.folder))


ENGINE = Recurrent()
