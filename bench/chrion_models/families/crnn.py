"""CRNN, as OCR models have it: convolutions over a text line, two bidirectional LSTM layers, a projection.

Layers as in Shi et al., "An End-to-End Trainable Neural Network for Image-based Sequence Recognition", table 1,
with batch normalisation folded into the convolutions.
"""

from collections.abc import Iterator
from functools import partial

import onnx

from chrion_models.families.case import ModelCase
from chrion_models.families.graph import GraphBuilder
from chrion_models.families.stack import Stack

HEIGHT = 32
CLASSES = 97

# Output channels in multiples of the first layer's, and the pooling after it: stride and padding of (height, width).
CONVOLUTIONS = (
    (1, ((2, 2), (0, 0))),
    (2, ((2, 2), (0, 0))),
    (4, None),
    (4, ((2, 1), (0, 1))),
    (8, None),
    (8, ((2, 1), (0, 1))),
)


def crnn(channels: int, hidden: int, width: int, batch: int) -> ModelCase:
    """A model from a grey image [batch, 1, 32, width] to logits [width / 4 + 1, batch, classes]."""
    name = f"crnn-c{channels}-h{hidden}-w{width}-b{batch}"
    return ModelCase(name, partial(_build, channels, hidden, name), {"image": (batch, 1, HEIGHT, width)})


def full() -> Iterator[ModelCase]:
    """The paper's size on a short and a long line, and a light one as mobile OCR has it."""
    yield crnn(64, 256, 100, 1)
    yield crnn(64, 256, 320, 1)
    yield crnn(64, 256, 100, 8)
    yield crnn(16, 48, 320, 1)


def small() -> Iterator[ModelCase]:
    """One of each batch."""
    yield crnn(4, 16, 48, 1)
    yield crnn(4, 16, 32, 2)


def _build(channels: int, hidden: int, name: str) -> onnx.ModelProto:
    graph = GraphBuilder()
    value, inputs = graph.input("image", ("batch", 1, HEIGHT, "width")), 1
    for index, (factor, pooling) in enumerate(CONVOLUTIONS):
        outputs = factor * channels
        value, inputs = _convolution(graph, f"conv{index}", value, inputs, outputs, kernel=3, padding=1), outputs
        if pooling:
            (down, across), (_, pad) = pooling
            value = graph.node("MaxPool", value, kernel_shape=[2, 2], strides=[down, across], pads=[0, pad, 0, pad])
    value = _convolution(graph, "conv6", value, inputs, inputs, kernel=2, padding=0)  # [batch, channels, 1, seq]
    sequence = graph.node("Transpose", graph.node("Squeeze", value, graph.constant(2)), perm=[2, 0, 1])
    read, _ = Stack("LSTM", "bidirectional", 2, hidden).add(graph, "lstm", sequence, inputs)
    graph.output("logits", graph.linear("project", read, 2 * hidden, CLASSES), ("seq", "batch", CLASSES))
    return graph.model(name)


def _convolution(
    graph: GraphBuilder, name: str, value: str, inputs: int, outputs: int, kernel: int, padding: int
) -> str:
    fan_in = inputs * kernel**2
    # He's bound keeps the signal's size through seven ReLUs.
    weight = graph.weight(f"{name}.weight", (outputs, inputs, kernel, kernel), (6 / fan_in) ** 0.5)
    bias = graph.weight(f"{name}.bias", (outputs,), fan_in**-0.5)
    return graph.node("Relu", graph.node("Conv", value, weight, bias, pads=[padding] * 4))
