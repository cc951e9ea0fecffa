"""What tells kernels apart: stages of the same identity are one kernel, loaded once."""

from collections.abc import Hashable
from dataclasses import dataclass

from chrion_api import Stage
from chrion_runtime.devices import traits_of
from chrion_runtime.engines import engine_named


@dataclass(frozen=True)
class KernelIdentity:
    """A pure function of a stage and of what it computes, known without compiling anything."""

    part: Hashable
    """What is computed: the sub-model's digest, or its file, which is named by it; else the graph's, and its nodes."""
    lanes: tuple[str, ...] | int
    """The lanes themselves where each holds kernels of its own, else how many they are."""
    device: str
    engine: str
    version: str
    options: tuple[tuple[str, object], ...]


def identity(stage: Stage, part: Hashable) -> KernelIdentity:
    """The identity of a stage's kernel. Raises PlanRefused for an engine that nobody knows."""
    return KernelIdentity(
        part,
        len(stage.lanes) if traits_of(stage.device).shares_kernels else stage.lanes,
        stage.device,
        stage.engine,
        engine_named(stage.engine).version,
        tuple(sorted(stage.options.items())),
    )
