"""Chrion: serve ONNX models on CPU and GPU together.

plan = chrion.plan("model.onnx", inputs={"input": (1, 200, 161)})
session = chrion.Session("model.onnx", plan)
answer = session.run({"input": array})
"""

from chrion.face import Session, plan
from chrion.version import __version__
from chrion_api import SLO, ChrionError, InputSpec, Mode, PlanFile

__all__ = ["SLO", "ChrionError", "InputSpec", "Mode", "PlanFile", "Session", "__version__", "plan"]
