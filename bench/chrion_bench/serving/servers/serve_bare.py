"""The least that answers: aiohttp, orjson, and ONNX Runtime's session on the event loop; `uvloop` runs it on that.

No checks, no limits, no metrics, no threads: the floor that a server in Python with aiohttp stands on.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import orjson
import uvloop
from aiohttp import web

HEADER_LENGTH = "Inference-Header-Content-Length"


def build(folder: Path, names: list[str]) -> web.Application:
    """The application, one route a model."""
    app = web.Application()
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    for name in names:
        session = ort.InferenceSession(folder / f"{name}.onnx", options, providers=["CPUExecutionProvider"])
        app.router.add_post(f"/v2/models/{name}/infer", _handler(name, session))
    return app


def _handler(name: str, session: ort.InferenceSession) -> Any:
    output = session.get_outputs()[0].name

    async def infer(request: web.Request) -> web.Response:
        body = await request.read()
        length = request.headers.get(HEADER_LENGTH)
        size = len(body) if length is None else int(length)
        (tensor,) = orjson.loads(body[:size])["inputs"]
        if length is None:
            array = np.array(tensor["data"], np.float32).reshape(tensor["shape"])
        else:
            array = np.frombuffer(body, np.float32, offset=size).reshape(tensor["shape"])
        result = session.run([output], {tensor["name"]: array})[0]
        answer: dict[str, Any] = {"name": output, "datatype": "FP32", "shape": result.shape}
        document = {"model_name": name, "model_version": "1", "outputs": [answer]}
        if length is None:
            answer["data"] = result.ravel()
            return web.Response(
                body=orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY), content_type="application/json"
            )
        answer["parameters"] = {"binary_data_size": result.nbytes}
        head = orjson.dumps(document)
        return web.Response(
            body=head + result.tobytes(),
            content_type="application/octet-stream",
            headers={HEADER_LENGTH: str(len(head))},
        )

    return infer


def main() -> None:
    """Serve on a port."""
    port, folder, *names = sys.argv[1:]
    loop = uvloop.new_event_loop() if "uvloop" in names else asyncio.new_event_loop()
    app = build(Path(folder), [name for name in names if name != "uvloop"])
    web.run_app(app, host="127.0.0.1", port=int(port), access_log=None, loop=loop, print=lambda *_: None)


if __name__ == "__main__":
    main()
