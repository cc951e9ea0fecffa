"""The bad models are as bad as they say: ONNX Runtime refuses them, or would choke on running them."""

from pathlib import Path

import onnxruntime
import pytest

from tests.support.bad_models import BAD_MODELS, hungry

# These load: what is wrong with them shows when they run, or when someone wants their outputs.
LOADABLE = {*hungry.MODELS, "no-outputs", "external-hard-link"} - {"deep-ifs", "terabyte-initializer"}


@pytest.mark.parametrize("name", sorted(set(BAD_MODELS) - {"many-nodes"}))
def test_is_bad(bad_models: dict[str, Path], name: str) -> None:
    options = onnxruntime.SessionOptions()
    # Optimising would fold the constants of a terabyte.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL

    def load() -> None:
        onnxruntime.InferenceSession(bad_models[name], options, providers=["CPUExecutionProvider"])

    if name in LOADABLE:
        load()
    else:
        with pytest.raises(Exception, match="ONNXRuntimeError"):
            load()
