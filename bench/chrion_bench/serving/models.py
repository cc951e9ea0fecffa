"""The models that are served, and the requests that are sent to them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import orjson
from numpy.typing import NDArray
from onnx import TensorProto, helper

from chrion_models.families.graph import GraphBuilder
from chrion_models.families.stack import Stack

SEED = 20230720

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class ServedModel:
    """A model with one float input of [steps, batch, features]."""

    name: str
    build: Callable[[], onnx.ModelProto]
    shape: tuple[int, ...]
    """Of the requests."""
    buckets: tuple[tuple[int, ...], ...] = ()
    """What it is planned for; by default the shape of the requests."""
    lanes: tuple[str, ...] = ("cpu/0",)
    """The lanes that its layers take in turn, a stage each; one lane is one stage of all nodes."""
    input: str = field(default="input")

    def feeds(self, shape: Sequence[int] | None = None) -> Arrays:
        """Random numbers of that shape, the same ones every time."""
        return {self.input: np.random.default_rng(SEED).random(shape or self.shape, np.float32)}


def _recurrent(features: int, hidden: int, layers: int = 1, last: bool = True) -> onnx.ModelProto:
    """LSTM layers over [steps, batch, features] with open steps and batch; the answer is the last state, or all."""
    graph = GraphBuilder()
    value = graph.input("input", ["steps", "batch", features])
    whole, finals = Stack("LSTM", "forward", layers, hidden).add(graph, "rnn", value, features)
    if last:
        graph.output("output", finals[-1][0], [1, "batch", hidden])
    else:
        graph.output("output", whole, ["steps", "batch", hidden])
    return graph.model("recurrent")


def _batch_first(features: int, hidden: int) -> onnx.ModelProto:
    """An LSTM over [batch, steps, features], as PyTorch exports `batch_first`; the answer is the last state."""
    graph = GraphBuilder()
    value = graph.node("Transpose", graph.input("input", ["batch", "steps", features]), perm=[1, 0, 2])
    _, finals = Stack("LSTM", "forward", 1, hidden).add(graph, "rnn", value, features)
    graph.output("output", graph.node("Squeeze", finals[-1][0], graph.constant(0)), ["batch", hidden])
    return graph.model("batch_first")


def _total() -> onnx.ModelProto:
    """The sum of any number of numbers: next to no work, however large the request."""
    graph = GraphBuilder()
    value = graph.input("input", ["numbers"])
    graph.output("output", graph.node("ReduceSum", value, keepdims=1), [1])
    return graph.model("total")


def _rounds() -> onnx.ModelProto:
    """As many rounds of Tanh as the first number of the request says."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Tanh", ["value"], ["next"])],
        "round",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, ["numbers"]),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, ["numbers"]),
        ],
    )
    graph = GraphBuilder()
    value = graph.input("input", ["numbers"])
    times = graph.node("Cast", graph.node("Gather", value, graph.scalar(0)), to=TensorProto.INT64)
    graph.output("output", graph.node("Loop", times, "", value, body=body), ["numbers"])
    return graph.model("rounds")


TINY = ServedModel("tiny", lambda: _recurrent(32, 32), (16, 1, 32))
"""An LSTM of about 20 µs."""
MID = ServedModel("mid", lambda: _recurrent(64, 128), (64, 1, 64))
"""An LSTM of about 280 µs, asked with 4,096 numbers."""
SLOW = ServedModel("slow", lambda: _recurrent(128, 256, 2), (72, 1, 128))
"""Two LSTM layers of more than 2 ms."""
LENGTHS = ServedModel("lengths", lambda: _recurrent(64, 64, 2), (64, 1, 64), ((50, 1, 64), (100, 1, 64), (200, 1, 64)))
"""Two LSTM layers of any length, planned for three."""
HOPS = ServedModel("hops", lambda: _recurrent(64, 64, 9, last=False), (64, 1, 64), lanes=("cpu/0", "cpu/1"))
"""Nine LSTM layers, each handed from one lane to the other: eight hops."""
CHAIN = ServedModel("chain", lambda: _recurrent(128, 256, 2, last=False), (48, 1, 128), lanes=("cpu/0", "cpu/1"))
"""Two LSTM layers of about a millisecond each, one on either lane."""
BATCHED = ServedModel("batched", lambda: _batch_first(64, 128), (1, 64, 64), ((1, 64, 64), (8, 64, 64)))
"""An LSTM whose first axis is the batch, planned for one row and for eight."""
TOTAL = ServedModel("total", _total, (100_000,))
"""Takes large bodies and gives nothing to do."""
ROUNDS = ServedModel("rounds", _rounds, (4,))
"""A Loop that goes round as often as the request's first number says; those of `feeds` are below 1."""
FOR_EVER = 2.0**62
"""More rounds than anybody can wait for."""

MODELS: Mapping[str, ServedModel] = {
    model.name: model for model in (TINY, MID, SLOW, LENGTHS, HOPS, CHAIN, BATCHED, TOTAL, ROUNDS)
}


def write(model: ServedModel, folder: Path) -> Path:
    """The model's file in `folder`, made where it is not there."""
    path = folder / f"{model.name}.onnx"
    if not path.exists():
        onnx.save(model.build(), path)
    return path


def request(model: ServedModel, binary: bool, feeds: Arrays, headers: Mapping[str, str] | None = None) -> bytes:
    """A whole HTTP request of the Open Inference Protocol, binary both ways or JSON both ways."""
    ((name, array),) = feeds.items()
    tensor: dict[str, Any] = {"name": name, "datatype": "FP32", "shape": array.shape}
    document: dict[str, Any] = {"inputs": [tensor]}
    lines = {"Host": "127.0.0.1", **(headers or {})}
    if binary:
        tensor["parameters"] = {"binary_data_size": array.nbytes}
        document["parameters"] = {"binary_data_output": True}
        document["outputs"] = [{"name": "output", "parameters": {"binary_data": True}}]
        head, tail = orjson.dumps(document), array.tobytes()
        lines |= {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
    else:
        tensor["data"] = array.ravel()
        head, tail = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY), b""
        lines["Content-Type"] = "application/json"
    lines["Content-Length"] = str(len(head) + len(tail))
    text = "".join(f"{key}: {value}\r\n" for key, value in lines.items())
    return f"POST /v2/models/{model.name}/infer HTTP/1.1\r\n{text}\r\n".encode() + head + tail


def answered(body: bytes, header_length: str | None) -> NDArray[Any]:
    """The output of an answer."""
    size = len(body) if header_length is None else int(header_length)
    document = orjson.loads(body[:size])
    (output,) = document["outputs"]
    if size < len(body):
        return np.frombuffer(body[size:], np.float32).reshape(output["shape"])
    return np.array(output["data"], np.float32).reshape(output["shape"])
