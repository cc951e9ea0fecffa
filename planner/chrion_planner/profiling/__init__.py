"""Profiling: what nodes, hops, hand-offs and copies cost on the devices of this machine."""

from chrion_planner.profiling.known import Figures, Known
from chrion_planner.profiling.profile import Variant, profile_devices

__all__ = ["Figures", "Known", "Variant", "profile_devices"]
