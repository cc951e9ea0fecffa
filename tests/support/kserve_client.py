"""Asks a server, by KServe's two clients, what the test of clients wants to know; runs in an environment that has them.

Arguments: the server's URL, and its address over gRPC. Prints one line of JSON.
"""

import asyncio
import json
import sys

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig

SENT = {
    "FP32": np.array([[1.0, 2.5, -3.0]], np.float32),
    "INT64": np.array([[1, 2**40, -3]], np.int64),
    "BYTES": np.array([["a", "née", ""]], object),
}
OTHERS = {
    "BOOL": bool,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "FP16": np.float16,
    "FP64": np.float64,
}


def request():
    """One that fits the model "echo"."""
    arrays = {**SENT, **{name: np.zeros((1, 3), dtype) for name, dtype in OTHERS.items()}}
    inputs = []
    for name, array in arrays.items():
        tensor = InferInput(name, list(array.shape), name)
        tensor.set_data_from_numpy(array, binary_data=True)
        inputs.append(tensor)
    return InferRequest(model_name="echo", infer_inputs=inputs, parameters={"binary_data_output": True})


def answer(response):
    """What came back of SENT, as plain data."""
    found = {output.name: output.as_numpy() for output in response.outputs if output.name in SENT}
    return {name: [[_plain(value) for value in row] for row in array] for name, array in found.items()}


def _plain(value):
    return value.decode() if isinstance(value, bytes) else value if isinstance(value, str) else value.item()


async def main(url, address):
    """Ask by both."""
    rest = InferenceRESTClient(RESTConfig(protocol="v2"))
    found = {
        "rest": {
            "live": await rest.is_server_live(url),
            "ready": await rest.is_server_ready(url),
            "model": await rest.is_model_ready(url, "echo"),
            "unknown": await rest.is_model_ready(url, "nobody"),
            "answer": answer(await rest.infer(url, request(), model_name="echo")),
        }
    }
    await rest.close()
    async with InferenceGRPCClient(address) as grpc:
        found["grpc"] = {
            "live": await grpc.is_server_live(),
            "ready": await grpc.is_server_ready(),
            "model": await grpc.is_model_ready("echo"),
            "unknown": await grpc.is_model_ready("nobody"),
            "answer": answer(await grpc.infer(request())),
        }
    print(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
