"""Chrion: run ONNX models by plans that use CPU and GPU together.

    import chrion
    import numpy as np

    with chrion.Session("model.onnx") as session:
        answer = session.run({"input": np.zeros((1, 200, 161), np.float32)})

The session answers from the first call, and gets faster once it has planned the model in the background. To plan first,
or elsewhere:

    plan = chrion.plan("model.onnx", inputs={"input": (1, 200, 161)})
    session = chrion.Session("model.onnx", plan)

What there is:

- `plan`, `profile`: plan a model, and measure what its nodes cost; `PlanFile`, `Profile`: what they return
- `Session`: a model that answers; `BackgroundPlanning`: its `planning`, with `PlanningOptions`
- `InputSpec`, `SLO`, `Mode`, `Precision`, `WeightFormat`, `StateLink`: what they take beside plain values
- `SequenceStep`, `Stop`: what a call takes
- `Hosting`, `SequenceStore`: what servers have around a session
- `ChrionError` and all errors below it; `chrion.errors` shows them as a tree
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import chrion_graph  # noqa: F401, before ONNX Runtime is: it keeps that from reporting on its users
from chrion.errors import UsageError
from chrion.version import __version__
from chrion_api import (
    SLO,
    ChrionError,
    InputSpec,
    InvalidDocument,
    InvalidField,
    Mode,
    PlanFile,
    Precision,
    Profile,
    StateLink,
    WeightFormat,
)
from chrion_graph.errors import InputMismatch, InvalidModel, LimitExceeded, ModelError, RewriteError, UnsafeModel
from chrion_graph.files import WriteFailed
from chrion_graph.worker.errors import WorkerError, WorkerFailed
from chrion_runtime.errors import (
    DeviceUnavailable,
    OutOfMemory,
    OverMemory,
    PlanRefused,
    RunError,
    RunStopped,
    RuntimeFailure,
    SequenceLost,
    SequenceMismatch,
    SequencesFull,
    StateRefused,
    TooMuchToKeep,
    UnfitValues,
    Unreadable,
)
from chrion_runtime.stop import Stop

if TYPE_CHECKING:
    from chrion.background_planning import BackgroundPlanning, PlanningOptions
    from chrion.face import plan, profile
    from chrion.session import Session
    from chrion_planner.errors import PlanningError, ProfileMismatch
    from chrion_runtime.planned_model import Hosting
    from chrion_runtime.sequences import SequenceStore
    from chrion_runtime.servable import SequenceStep

_LATER = {
    "BackgroundPlanning": "chrion.background_planning",
    "Hosting": "chrion_runtime.planned_model",
    "PlanningError": "chrion_planner.errors",
    "PlanningOptions": "chrion.background_planning",
    "ProfileMismatch": "chrion_planner.errors",
    "SequenceStep": "chrion_runtime.servable",
    "SequenceStore": "chrion_runtime.sequences",
    "Session": "chrion.session",
    "plan": "chrion.face",
    "profile": "chrion.face",
}
"""Names that are imported on first use, because they are heavy or need ONNX Runtime, with their modules."""

__all__ = [
    "SLO",
    "BackgroundPlanning",
    "ChrionError",
    "DeviceUnavailable",
    "Hosting",
    "InputMismatch",
    "InputSpec",
    "InvalidDocument",
    "InvalidField",
    "InvalidModel",
    "LimitExceeded",
    "Mode",
    "ModelError",
    "OutOfMemory",
    "OverMemory",
    "PlanFile",
    "PlanRefused",
    "PlanningError",
    "PlanningOptions",
    "Precision",
    "Profile",
    "ProfileMismatch",
    "RewriteError",
    "RunError",
    "RunStopped",
    "RuntimeFailure",
    "SequenceLost",
    "SequenceMismatch",
    "SequenceStep",
    "SequenceStore",
    "SequencesFull",
    "Session",
    "StateLink",
    "StateRefused",
    "Stop",
    "TooMuchToKeep",
    "UnfitValues",
    "Unreadable",
    "UnsafeModel",
    "UsageError",
    "WeightFormat",
    "WorkerError",
    "WorkerFailed",
    "WriteFailed",
    "__version__",
    "plan",
    "profile",
]


def __getattr__(name: str) -> Any:
    """What is imported later, after a look at what is installed."""
    if name in _LATER:
        from chrion.installation import check_installation

        check_installation()
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module 'chrion' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
