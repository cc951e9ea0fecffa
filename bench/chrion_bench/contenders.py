"""What a plan is measured against: ONNX Runtime in three settings and with weights of eight bits, and OpenVINO."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chrion_api import ChrionError
from chrion_graph.ort import brief
from chrion_planner.measuring import Arrays, Contender, SessionContender
from chrion_planner.measuring.contender import Runner

DEFAULT = "onnxruntime-default"
ONE_THREAD = "onnxruntime-1-thread"
CONTROL = "onnxruntime-default-again"
"""The default session once more, in a process of its own: what differs from the first is the machine's noise."""
PARALLEL = "onnxruntime-parallel"
OPENVINO = "openvino-latency"
INT8 = "onnxruntime-int8"


def baselines(model: Path, feeds: Mapping[str, NDArray[Any]]) -> list[Contender]:
    """Every contender but the plan, the one that gains are counted from first."""
    return [
        SessionContender(DEFAULT, model, feeds),
        SessionContender(CONTROL, model, feeds),
        SessionContender(ONE_THREAD, model, feeds, threads=1),
        SessionContender(PARALLEL, model, feeds, parallel=True),
        OpenVinoContender(OPENVINO, model, feeds),
        Int8Contender(INT8, model, feeds),
    ]


class OpenVinoFailed(ChrionError):
    """OpenVINO is not installed, or cannot compile or run the model."""


@dataclass(frozen=True)
class OpenVinoContender:
    """The model as OpenVINO runs it when asked for low latency, with float32 kept float32."""

    name: str
    model: Path
    feeds: Mapping[str, NDArray[Any]]

    @property
    def needs_address_space(self) -> bool:
        return False

    def load(self) -> Runner:
        """Compile it for the shapes of the feeds. Raises OpenVinoFailed."""
        return _OpenVinoRunner(self)


class _OpenVinoRunner:
    def __init__(self, contender: OpenVinoContender) -> None:
        try:
            import openvino
        except ImportError:
            raise OpenVinoFailed("openvino is not installed: pip install chrion[bench]") from None
        try:
            core = openvino.Core()
            model = core.read_model(contender.model)
            model.reshape({name: list(array.shape) for name, array in contender.feeds.items()})
            options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
            compiled = core.compile_model(model, "CPU", options)
            self._names = [output.get_any_name() for output in compiled.outputs]
            self._request = compiled.create_infer_request()
            for name, array in contender.feeds.items():
                self._request.set_tensor(name, openvino.Tensor(np.ascontiguousarray(array), shared_memory=False))
            self.run()
        except Exception as error:  # noqa: BLE001, OpenVINO raises many types
            raise OpenVinoFailed(f"OpenVINO cannot run the model: {brief(error)}") from None

    def run(self) -> Arrays:
        # With inputs set beforehand and outputs looked at in place, nothing but the inference is timed.
        self._request.infer()
        return {name: self._request.get_output_tensor(index).data for index, name in enumerate(self._names)}

    def used(self) -> None:
        return None


class QuantizationFailed(ChrionError):
    """ONNX Runtime cannot quantise the model, or not run what comes of it."""


@dataclass(frozen=True)
class Int8Contender:
    """The model after ONNX Runtime's dynamic quantisation, in a default session. Its answers are others."""

    name: str
    model: Path
    feeds: Mapping[str, NDArray[Any]]

    @property
    def needs_address_space(self) -> bool:
        return False

    def load(self) -> Runner:
        """Quantise and load it. Raises QuantizationFailed."""
        logging.getLogger().setLevel(logging.ERROR)  # it advises to prepare models, which people do not
        try:
            from onnxruntime.quantization import quantize_dynamic

            with TemporaryDirectory(prefix="chrion-int8-") as folder:
                quantized = Path(folder) / "int8.onnx"
                quantize_dynamic(self.model, quantized)
                return SessionContender(self.name, quantized, self.feeds).load()
        except Exception as error:  # noqa: BLE001, ONNX Runtime raises many types
            raise QuantizationFailed(f"dynamic quantisation fails: {brief(error)}") from None


def largest_error(answer: Arrays, exact: Arrays) -> float:
    """How far any number of an answer is from what it is to be; infinite where shapes differ or it is not a number."""
    worst = 0.0
    for name, expected in exact.items():
        found = answer.get(name)
        if found is None or found.shape != expected.shape:
            return inf
        if expected.size:
            off = np.max(np.abs(found.astype(np.float64) - expected))
            worst = max(worst, inf if np.isnan(off) else float(off))
    return worst
