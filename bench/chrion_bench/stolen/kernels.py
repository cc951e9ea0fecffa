"""What runs while a core is taken: ONNX Runtime's sessions, and the recurrent kernels in every way to share a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray

from chrion_bench.contenders import DEFAULT, ONE_THREAD
from chrion_planner.measuring import Arrays, Contender, SessionContender
from chrion_planner.measuring.contender import Runner
from chrion_runtime.devices import open_devices
from chrion_runtime.engines import engine_named
from chrion_runtime.engines.engine import Ports, Site

ONE_LANE, BY_UNITS, BY_PIECES = "kernel-1-lane", "kernel-2-lanes-units", "kernel-2-lanes-pieces"


def contenders(model: Path, feeds: Mapping[str, NDArray[Any]]) -> Sequence[Contender]:
    """All of them; the first one's answers are what others are held to."""
    return (
        SessionContender(DEFAULT, model, feeds),
        SessionContender(ONE_THREAD, model, feeds, threads=1),
        KernelContender(ONE_LANE, model, feeds, 1, "Alone"),
        KernelContender(BY_UNITS, model, feeds, 2, "Units"),
        KernelContender(BY_PIECES, model, feeds, 2, "Pieces"),
    )


@dataclass(frozen=True)
class KernelContender:
    """A whole model as one recurrent kernel, as a plan of a single stage runs it."""

    name: str
    model: Path
    feeds: Mapping[str, NDArray[Any]]
    lanes: int
    sharing: str

    @property
    def needs_address_space(self) -> bool:
        return False

    def load(self) -> Runner:
        """Compile it. Raises PlanRefused."""
        return _KernelRunner(self)


class _KernelRunner:
    def __init__(self, contender: KernelContender) -> None:
        (device,) = open_devices([], contender.lanes).values()
        site = Site(device, contender.lanes, spin=True)
        self._kernel = engine_named("recurrent").compile(contender.model, site, {"sharing": contender.sharing})
        names = tuple(value.name for value in onnx.load(contender.model, load_external_data=False).graph.output)
        self._ports = Ports(tuple(contender.feeds), names)
        self._feeds = list(contender.feeds.values())

    def run(self) -> Arrays:
        return dict(zip(self._ports.writes, self._kernel.run(self._ports, self._feeds), strict=True))  # type: ignore[arg-type]

    def used(self) -> None:
        return None
