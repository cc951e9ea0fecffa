"""A model that Python programs ask: it answers from the first call, and by a plan as soon as there is one."""

import sys
import warnings
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from chrion.background_planning import BackgroundPlanning, Compiling, Found, PlanningOptions
from chrion.errors import UsageError
from chrion.first_calls import FirstCalls, tell_nothing_more
from chrion.forms import Inputs, State, as_mode, file_path, input_specs, objective, plan_file, state_links
from chrion_api import SLO, InputSpec, Mode, Objective, PlanFile
from chrion_runtime.sequences import SequenceStore
from chrion_runtime.servable import Array, SequenceStep, StageObserver, TensorSpec
from chrion_runtime.stop import Stop
from chrion_runtime.unplanned_model import UnplannedModel

if TYPE_CHECKING:
    # A first answer does without these, and does not wait until they are imported.
    from chrion_runtime.choice.selection import Selection
    from chrion_runtime.planned_model import Hosting, NormalisedModel, PlannedModel


class Session:
    """A model, ready to answer. May be called from many threads; close it, or use it in a `with` block.

    Without a plan it answers by ONNX Runtime's default session on the model as it is, while another process, which
    stands back, plans the model (or finds the plan in the cache). Then the plan takes over from one request to the
    next, once its answers were compared with the default session's.

    >>> with chrion.Session("model.onnx") as session:
    ...     answer = session.run({"input": np.zeros((1, 200, 161), np.float32)})
    >>> answer["output"].shape
    (1, 200, 161)
    """

    def __init__(
        self,
        model: str | Path,
        plan: PlanFile | str | Path | None = None,
        *,
        slo: SLO | Mapping[str, Any] | None = None,
        mode: Mode | str = Mode.AUTO,
        inputs: Inputs = (),
        name: str | None = None,
        state: State = (),
        planning: PlanningOptions | None = None,
        hosting: "Hosting | None" = None,
    ) -> None:
        """Load a model.

        Parameters:
            model: the path of an ONNX file.
            plan: a plan from `chrion.plan`, or the path of a plan file. None to plan while the model answers.
            slo: the objective: an SLO, or a dictionary such as `{"latency": "20ms"}`. It chooses among the plans.
            mode: `"Latency"`, `"Memory"` or `"Auto"`: what is minimised.
            inputs: shapes to plan for by input, or InputSpecs, which can also hold values to measure and warm with.
                Where shapes are missing, those of the first calls are planned for.
            name: what messages call the model; by default what its file is called.
            state: the input that each output feeds from one request of a sequence to the next, by output.
            planning: how to plan if no plan is given: devices, lanes, time.
            hosting: what surrounds the model in a server: sequences kept, files watched, other models. None where it is
                alone.

        Raises:
            ModelError: the file is no model that can be loaded, or has no such inputs.
            PlanRefused: the plan does not fit the model or these devices.
            StateRefused: the model has no such state.
            ChrionError: a plan file that cannot be read, an objective or a mode that is none; all others are one too.
        """
        if not isinstance(planning, PlanningOptions | None):
            raise UsageError(f"planning: give PlanningOptions, not {type(planning).__name__}")
        path = file_path(model, "model")
        self.name = name or path.stem
        self._objective = Objective.of(objective(slo), as_mode(mode))
        self._state = state_links(state)
        self._hosting = hosting
        self._guard = Lock()
        self.planning = BackgroundPlanning(self.name, path, planning or PlanningOptions())
        """How planning goes, and why it failed where it did: `ended`, `error`, `cached`, `doing`, `part`."""
        self._calls: FirstCalls | None = None
        """What planning waits for."""
        self._plans: PlannedModel | None = None
        self._serving: PlannedModel | UnplannedModel
        specs = input_specs(inputs)
        if plan is None:
            sequences = hosting.sequences if hosting is not None else None
            model_as_it_is = UnplannedModel(path, inputs=specs, state=self._state, sequences=sequences)
            self._serving = model_as_it_is
            self._closed = False
            self._plan(model_as_it_is, specs)
            return
        if planning is not None:
            raise UsageError("planning: there is a plan already: leave one of the two out")
        self._serving = self._plans = self._planned(path, plan_file(plan), specs, hosting)
        self._closed = False
        self.planning.spare()

    def _plan(self, model: UnplannedModel, specs: Sequence[InputSpec]) -> None:
        """Begin to plan, at once or after the first calls."""
        calls = FirstCalls(model.kinds, specs, model.state.values())
        at_once = tell_nothing_more(model.kinds, specs)
        if not at_once:
            self._calls, model.heard = calls, calls.hear
        # Planning must not keep an abandoned session alive.
        self.planning.start(calls, at_once, partial(_take_over, weakref.ref(self), model))

    def _take_over(self, model: UnplannedModel, found: Found, specs: Sequence[InputSpec], compiling: Compiling) -> None:
        """Serve by what planning has found, once it is seen to answer as the model does. Raises ChrionError."""
        from chrion.taking_over import check_agree
        from chrion_runtime.planned_model import Hosting

        hosting = self._hosting or Hosting()
        hosting = replace(hosting, sequences=model.sequences, compiling=hosting.compiling or compiling)
        planned = self._planned(found.model, found.plans, specs, hosting)
        try:
            check_agree(planned, model, specs)
        except BaseException:
            planned.close()
            raise
        with self._guard:
            if self._closed:
                planned.close()
            else:  # from the next request on; what runs ends on the default session, which then is freed
                self._serving = self._plans = planned

    def _planned(
        self, model: "Path | NormalisedModel", plans: PlanFile, specs: Sequence[InputSpec], hosting: "Hosting | None"
    ) -> "PlannedModel":
        from chrion.taking_over import open_planned
        from chrion_runtime.planned_model import Hosting

        return open_planned(model, plans, self.name, self._objective, specs, self._state, hosting or Hosting())

    @property
    def planned(self) -> bool:
        """Whether a plan serves."""
        return self._plans is not None

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Names, element types and shapes of what a request must hold."""
        return self._serving.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Names, element types and shapes of what an answer holds."""
        return self._serving.outputs

    @property
    def state(self) -> Mapping[str, str]:
        """The input that each output feeds within a sequence."""
        return self._serving.state

    @property
    def slo(self) -> SLO:
        """The objective that is pursued."""
        return self._plans.slo if self._plans else self._objective.slo

    @property
    def mode(self) -> Mode:
        """What is minimised; never Auto."""
        return self._plans.mode if self._plans else self._objective.resolved

    @property
    def selections(self) -> "tuple[Selection, ...]":
        """The plan that serves each bucket of shapes, and why; empty while there is none."""
        return self._plans.selections if self._plans else ()

    @property
    def sequences(self) -> SequenceStore:
        """The sequences whose state is kept."""
        return self._serving.sequences

    def run(
        self,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] | None = None,
        sequence: SequenceStep | None = None,
        observer: StageObserver | None = None,
        stop: Stop | None = None,
    ) -> dict[str, Array]:
        """Answer one request.

        Parameters:
            inputs: an array for each input of the model, of its element type.
            outputs: the outputs that are wanted; None for all.
            sequence: the request's place in a sequence of requests, where the model carries state. Inputs that take
                state are then left out, and outputs that hold it are answered where `outputs` names them.
            observer: called after each stage of this run; a default session has none.
            stop: ends the run early, from another thread.

        Returns:
            The answer's arrays, by output. They belong to the caller.

        Raises:
            RunError: inputs are missing, unknown or of another element type, or the model fails; UnfitValues where that
                is the values' fault, OutOfMemory where there is no memory left.
            RunStopped: `stop` ended it.
            SequenceLost: the sequence has no state here.
            UsageError: the session was closed, perhaps while this ran; or an argument is of another type.

        >>> with chrion.Session("model.onnx") as session:
        ...     answer = session.run({"input": np.zeros((1, 50, 161), np.float32)}, outputs=["output"])
        >>> answer["output"].shape
        (1, 50, 161)
        """
        if not isinstance(sequence, SequenceStep | None):
            raise UsageError(f"sequence: give a SequenceStep, not {type(sequence).__name__}")
        try:
            if not self._closed:
                return self._serving.run(inputs, outputs, sequence, observer, stop)
        except Exception:
            if not self._closed:
                raise
        raise UsageError(f"{self.name}: the session is closed: open another one")

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until planning has ended.

        Parameters:
            seconds: how long to wait at most; None for as long as it takes.

        Returns:
            Whether a plan serves. Where it is False after all, `planning.error` says why.

        Raises:
            UsageError: planning waits for a first call that tells the shapes, and there was none.

        >>> with chrion.Session("model.onnx", inputs={"input": (1, 200, 161)}) as session:
        ...     session.wait()
        True
        """
        if seconds is None and self._calls is not None and not self._calls.begun.is_set():
            raise UsageError("nothing is planned before the first call, which tells the shapes: run one or give inputs")
        self.planning.wait(seconds)
        return self.planned

    def describe_plan(self) -> dict[str, Any]:
        """The plan in use for each bucket of shapes and why, as JSON data; without buckets while there is none."""
        if (plans := self._plans) is not None:
            return plans.describe_plan()
        return {"model": self.name, "mode": self.mode.value, "slo": self.slo.to_data(), "buckets": []}

    def close(self) -> None:
        """End planning, and release threads, processes and sessions; `run` must not be called afterwards."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
        self.planning.close()
        if (plans := self._plans) is not None:
            plans.close()

    def __del__(self) -> None:
        if getattr(self, "_closed", True) or sys.is_finalizing() or not self.planning.at_home:
            return
        warnings.warn(f"{self.name}: the session was not closed", ResourceWarning, stacklevel=2)
        self._closed = True
        self.planning.abandon()
        if self._plans is not None:
            self._plans.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _take_over(
    session: weakref.ref[Session],
    model: UnplannedModel,
    found: Found,
    specs: Sequence[InputSpec],
    compiling: Compiling,
) -> None:
    """As the method, if the session is still there. Raises ChrionError."""
    if (held := session()) is not None:
        held._take_over(model, found, specs, compiling)
