"""MLServer with a model of its own that runs ONNX Runtime; in this process (`parallel_workers: 0`)."""

import asyncio
import sys
from pathlib import Path

import onnxruntime as ort
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from mlserver.utils import install_uvloop_event_loop


class OnnxModel(MLModel):  # type: ignore[misc]
    """One ONNX file, on one thread."""

    async def load(self) -> bool:
        """Open the session."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        assert self.settings.parameters is not None
        self._session = ort.InferenceSession(self.settings.parameters.uri, options, providers=["CPUExecutionProvider"])
        self._output = self._session.get_outputs()[0].name
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer one request."""
        feeds = {tensor.name: NumpyCodec.decode_input(tensor) for tensor in payload.inputs}
        (result,) = self._session.run([self._output], feeds)
        return InferenceResponse(
            model_name=self.name, outputs=[NumpyCodec.encode_output(name=self._output, payload=result)]
        )


async def serve(port: int, folder: Path, names: list[str]) -> None:
    """Serve until told to end."""
    settings = Settings(
        host="127.0.0.1",
        http_port=port,
        grpc_port=port + 1,
        metrics_port=port + 2,
        parallel_workers=0,
        debug=False,
        load_models_at_startup=False,
    )
    models = [
        ModelSettings(name=name, implementation=OnnxModel, parameters={"uri": str(folder / f"{name}.onnx")})
        for name in names
    ]
    await MLServer(settings).start(models)


if __name__ == "__main__":
    install_uvloop_event_loop()
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
