"""Live plans: watch the files and the latency of a served model, and exchange its plans while it serves."""

from chrion_runtime.live.pilot import Live, Pilot
from chrion_runtime.live.watch import Watch

__all__ = ["Live", "Pilot", "Watch"]
