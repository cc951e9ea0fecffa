"""The vocabulary that all parts of Chrion share."""

from chrion_api.chrionmodel import ChrionModel, ChrionModelSpec, Devices, InputSpec, ModelRef, Shape, StateLink
from chrion_api.document import Document
from chrion_api.engine_options import ONNXRUNTIME, Optimization, Options
from chrion_api.errors import ChrionError, InvalidDocument, InvalidField
from chrion_api.plan import (
    HOST,
    Baseline,
    Candidate,
    Frontier,
    GpuBytes,
    GpuBytesFrom,
    Latency,
    Plan,
    PlanFile,
    Rewrite,
    Stage,
    bucket_label,
)
from chrion_api.precision import EXACT, WEIGHTS, Precision, WeightFormat, rounds_weights
from chrion_api.profile import CachePoint, DeviceKey, DeviceProfile, NodeCost, PartCost, Profile, Transfer, Whole
from chrion_api.slo import SLO, Load, Mode, Objective
from chrion_api.status import Condition, ConditionType, Reason, Status
from chrion_api.units import Duration, Quantity

__all__ = [
    "EXACT",
    "HOST",
    "ONNXRUNTIME",
    "SLO",
    "WEIGHTS",
    "Baseline",
    "CachePoint",
    "Candidate",
    "ChrionError",
    "ChrionModel",
    "ChrionModelSpec",
    "Condition",
    "ConditionType",
    "DeviceKey",
    "DeviceProfile",
    "Devices",
    "Document",
    "Duration",
    "Frontier",
    "GpuBytes",
    "GpuBytesFrom",
    "InputSpec",
    "InvalidDocument",
    "InvalidField",
    "Latency",
    "Load",
    "Mode",
    "ModelRef",
    "NodeCost",
    "Objective",
    "Optimization",
    "Options",
    "PartCost",
    "Plan",
    "PlanFile",
    "Precision",
    "Profile",
    "Quantity",
    "Reason",
    "Rewrite",
    "Shape",
    "Stage",
    "StateLink",
    "Status",
    "Transfer",
    "WeightFormat",
    "Whole",
    "bucket_label",
    "rounds_weights",
]
