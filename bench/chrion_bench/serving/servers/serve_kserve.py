"""KServe's Python server with a model of its own that runs ONNX Runtime."""

import sys
from pathlib import Path
from typing import Any

ARGUMENTS = sys.argv[1:]
sys.argv[1:] = ["--configure_logging", "false", "--enable_latency_logging", "false"]  # read when kserve is imported

import onnxruntime as ort  # noqa: E402
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer  # noqa: E402


class OnnxModel(Model):  # type: ignore[misc]
    """One ONNX file, on one thread."""

    def __init__(self, name: str, path: Path) -> None:
        super().__init__(name)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._output = self._session.get_outputs()[0].name
        self.ready = True

    async def predict(self, payload: InferRequest, *_: Any, **__: Any) -> InferResponse:
        """Answer one request, binary where it was asked so."""
        feeds = {tensor.name: tensor.as_numpy() for tensor in payload.inputs}
        (result,) = self._session.run([self._output], feeds)
        output = InferOutput(self._output, list(result.shape), "FP32")
        output.set_data_from_numpy(result, binary_data=bool(payload.use_binary_outputs))
        return InferResponse(payload.id or "", self.name, [output])


if __name__ == "__main__":
    port, folder, *names = ARGUMENTS
    ModelServer(http_port=int(port), enable_grpc=False, workers=1).start(
        [OnnxModel(name, Path(folder) / f"{name}.onnx") for name in names]
    )
