"""Translation models: an LSTM encoder, and an LSTM or GRU decoder that attends to it (Luong et al., 2015)."""

from collections.abc import Iterator
from functools import partial

import onnx
from onnx import TensorProto

from chrion_models.families.case import ModelCase
from chrion_models.families.graph import GraphBuilder
from chrion_models.families.stack import Kind, Stack


def encoder_decoder(
    decoder: Kind, layers: int, hidden: int, source: int, target: int, batch: int, vocabulary: int
) -> ModelCase:
    """A model from source and (given) target tokens to the logits of the next target tokens."""
    name = f"encdec-lstm-{decoder.lower()}-l{layers}-h{hidden}-s{source}-t{target}-b{batch}-v{vocabulary}"
    return ModelCase(
        name,
        partial(_build, decoder, layers, hidden, vocabulary, name),
        {"source": (source, batch), "target": (target, batch)},
        {"source": range(vocabulary), "target": range(vocabulary)},
    )


def full() -> Iterator[ModelCase]:
    """The sizes that the benchmarks cover."""
    decoders: tuple[Kind, ...] = ("LSTM", "GRU")
    for decoder in decoders:
        for layers, hidden in ((1, 256), (2, 256), (2, 512)):
            yield encoder_decoder(decoder, layers, hidden, 64, 32, 1, 4000)
        yield encoder_decoder(decoder, 2, 256, 64, 32, 8, 4000)


def small() -> Iterator[ModelCase]:
    """Both decoders."""
    yield encoder_decoder("LSTM", 2, 16, 8, 6, 2, 50)
    yield encoder_decoder("GRU", 1, 16, 8, 6, 1, 50)


def _build(decoder: Kind, layers: int, hidden: int, vocabulary: int, name: str) -> onnx.ModelProto:
    graph = GraphBuilder()
    node = graph.node
    source = graph.input("source", ("source_seq", "batch"), TensorProto.INT64)
    target = graph.input("target", ("target_seq", "batch"), TensorProto.INT64)

    def embedded(tokens: str) -> str:
        table = graph.weight(f"embedding.{tokens}", (vocabulary, hidden), 1.0)
        return node("Gather", table, tokens, axis=0)

    memory, finals = Stack("LSTM", "forward", layers, hidden).add(graph, "encoder", embedded(source), hidden)
    states = finals if decoder == "LSTM" else [(h, "") for h, _ in finals]
    decoded, _ = Stack(decoder, "forward", layers, hidden).add(graph, "decoder", embedded(target), hidden, states)

    queries = node("Transpose", decoded, perm=[1, 0, 2])  # [batch, target, hidden]
    keys = node("Transpose", memory, perm=[1, 2, 0])  # [batch, hidden, source]
    values = node("Transpose", memory, perm=[1, 0, 2])  # [batch, source, hidden]
    attention = node("Softmax", node("MatMul", queries, keys), axis=-1)
    context = node("MatMul", attention, values)
    combined = node("Tanh", graph.linear("combine", node("Concat", context, queries, axis=2), 2 * hidden, hidden))
    graph.output("logits", graph.linear("project", combined, hidden, vocabulary), ("batch", "target_seq", vocabulary))
    return graph.model(name)
