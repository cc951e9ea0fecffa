"""Prepare plans in another process: parsing, rewriting and cutting hold the interpreter, which would stall requests."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from chrion_api import Plan, PlanFile
from chrion_graph.limits import Limits
from chrion_graph.model_worker import ModelWorker
from chrion_runtime.choice.documents import read_plan_file
from chrion_runtime.run.compiled_plan import CompiledPlan, compile_plans

_NICE = 10
"""How far it stands back: what serves comes first, and yet it gets its part of a busy machine."""


class Workshop:
    """A child process for one exchange of plans; started when it is first needed, ended at the end of the block."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._worker: ModelWorker | None = None

    def read(self, path: Path) -> PlanFile:
        """Read a plan file. Raises ChrionError."""
        return self._child().call(read_plan_file, path, seconds=self._limits.seconds, what=f"reading {path}")

    def compile(self, folder: Path, plans: Sequence[Plan]) -> tuple[CompiledPlan, ...]:
        """Cut plans of the normalised model in `folder`. Raises ChrionError."""
        what = f"cutting {', '.join(plan.name for plan in plans)}"
        return self._child().call(compile_plans, folder, tuple(plans), seconds=self._limits.seconds, what=what)

    def _child(self) -> ModelWorker:
        if self._worker is None:
            self._worker = ModelWorker(self._limits.memory)
            os.setpriority(os.PRIO_PROCESS, self._worker.pid, _NICE)
        return self._worker

    def interrupt(self) -> None:
        """End what it is at, from another thread; the call there then fails."""
        if self._worker is not None:
            with suppress(ProcessLookupError):
                os.kill(self._worker.pid, 9)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._worker is not None:
            self._worker.kill()
