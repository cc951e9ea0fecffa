"""Chrion: serve ONNX models on CPU and GPU together.

plan = chrion.plan("model.onnx", inputs={"input": (1, 200, 161)})
session = chrion.Session("model.onnx", plan)
answer = session.run({"input": array})
"""

from typing import TYPE_CHECKING, Any

import chrion_graph  # noqa: F401, before ONNX Runtime is: it keeps that from reporting on its users
from chrion.version import __version__
from chrion_api import SLO, ChrionError, InputSpec, Mode, PlanFile

if TYPE_CHECKING:
    from chrion.face import Session, plan

__all__ = ["SLO", "ChrionError", "InputSpec", "Mode", "PlanFile", "Session", "__version__", "plan"]


def __getattr__(name: str) -> Any:
    """What needs ONNX Runtime is imported when it is first used, after a look at what is installed."""
    if name in ("Session", "plan"):
        from chrion.onnxruntime_package import check_onnxruntime

        check_onnxruntime()
        from chrion import face

        return getattr(face, name)
    raise AttributeError(f"module 'chrion' has no attribute {name!r}")
