"""Latencies: counted so that adding one costs next to nothing, and those of the last minute."""

from chrion_runtime.latencies.histogram import Histogram
from chrion_runtime.latencies.window import Recent, Window

__all__ = ["Histogram", "Recent", "Window"]
