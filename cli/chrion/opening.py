"""What it takes to open a model for serving, said beforehand: in this process, or in the one of its group."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from chrion import cache
from chrion.forms import plan_file
from chrion.models_to_serve import about
from chrion_api import SLO, InputSpec, Mode, PlanFile, StateLink
from chrion_graph.limits import Limits
from chrion_runtime.live import Live
from chrion_runtime.live.workshop import Workshop
from chrion_runtime.planned_model import Hosting, PlannedModel
from chrion_runtime.run.machine import Machine
from chrion_runtime.sequences import SequenceStore


@dataclass(frozen=True)
class SequenceLimits:
    """How many sequences of a model are kept, and for how many seconds."""

    sequences: int
    idle_seconds: float


@dataclass(frozen=True)
class Opening:
    """A model, its plans and how to serve it; called to open it. Can be pickled."""

    file: Path
    """What errors name."""
    model: Path
    plan: PlanFile | Path
    name: str
    live: Live
    keeping: SequenceLimits
    owner: str | None = None
    """Whose model it is, where that is said."""
    slo: SLO | None = None
    mode: Mode = Mode.AUTO
    inputs: tuple[InputSpec, ...] = ()
    state: tuple[StateLink, ...] = ()
    any_device: bool = False
    beside: bool = False
    """Whether others serve meanwhile: what would hold them up is then done in another process."""

    def __call__(self, machine: Machine | None) -> PlannedModel:
        """The model, opened; `machine` is what models of the same process share. Raises ChrionError."""
        with about(self.file), ExitStack() as stack:
            hosting = Hosting(
                sequences=SequenceStore(self.keeping.sequences, self.keeping.idle_seconds),
                any_device=self.any_device,
                live=self.live,
                machine=machine,
                compiling=stack.enter_context(Workshop()).compile if self.beside else None,
            )
            return PlannedModel(
                cache.normalised(self.model, Limits()),
                plan_file(self.plan),
                name=self.name,
                slo=self.slo,
                mode=self.mode,
                inputs=self.inputs,
                state=self.state,
                hosting=hosting,
            )
