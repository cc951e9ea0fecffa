"""A GPU that is not here, as a roofline model of one: a profile entry that is computed and not measured.

A node takes its kernel launches, plus the larger of its floating-point work over the GPU's throughput and its bytes
over the GPU's memory bandwidth (Williams, Waterman and Patterson, "Roofline", CACM 2009). A recurrent node launches a
kernel for the projection of its inputs and then one a step and direction, each of which reads the recurrent weights
again: a step cannot start before the one before it has ended. So the model shows what matters to placement, that small
recurrent work on a GPU is bound by its steps and not by arithmetic, and is wrong in detail: it knows nothing of fused
or persistent kernels, caches and occupancy. Nobody should read its seconds as an H100's.

Throughput, bandwidths and multiprocessors are NVIDIA's figures for the H100 PCIe (H100 Tensor Core GPU data sheet and
architecture white paper); the launch, hop, hand-off, copy and context costs are round assumptions.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from math import prod

import onnx

from chrion_api import HOST, DeviceKey, DeviceProfile, NodeCost, Optimization, Profile, Transfer, Whole
from chrion_graph.bodies import bodies
from chrion_graph.graph import Graph, Shapes
from chrion_graph.recurrent import RECURRENT
from chrion_graph.signature import signatures
from chrion_graph.types import STRING
from chrion_planner.prepare import Prepared

NAME = "cuda:0"


@dataclass(frozen=True)
class Gpu:
    """What the model knows of a GPU; seconds, bytes and operations."""

    product: str
    multiprocessors: int
    flops_per_second: float
    bytes_per_second: float
    link_bytes_per_second: float
    launch_seconds: float = 5e-6
    hop_seconds: float = 10e-6
    handoff_seconds: float = 20e-6
    copy_seconds: float = 10e-6
    context_bytes: int = 500 << 20


H100 = Gpu(
    product="modelled H100",
    multiprocessors=114,
    flops_per_second=51e12,  # float32, outside the tensor cores
    bytes_per_second=2.0e12,
    link_bytes_per_second=64e9,  # PCIe 5, 16 lanes, each way
)


def with_gpu(prepared: Prepared, measured: Profile, gpu: Gpu = H100) -> Profile:
    """The measured profile of the CPU, with the modelled GPU beside it."""
    graphs = [
        (variant.bucket.graph, variant.bucket.inputs, variant.bucket.shapes)
        for bucket in prepared.buckets
        for variant in bucket.variants
    ]
    nodes: dict[str, NodeCost | None] = {}
    wholes = []
    for graph, inputs, shapes in graphs:
        names = signatures(graph, shapes)
        for index, name in enumerate(names):
            if name not in nodes:
                nodes[name] = _cost(graph, index, shapes, gpu)
        costs = [cost for name in names if (cost := nodes[name])]
        if len(costs) == len(names):
            seconds = sum(cost.seconds for cost in costs)
            wholes += [
                Whole(graph=graph.digest, inputs=dict(inputs), lanes=1, options=level.options, seconds=seconds)
                for level in Optimization
            ]
    entry = DeviceProfile(
        name=NAME,
        key=DeviceKey(product=gpu.product, cores=gpu.multiprocessors, engines=measured.device(HOST).key.engines),
        lanes=1,
        hop_seconds=gpu.hop_seconds,
        handoff_seconds=gpu.handoff_seconds,
        context_bytes=gpu.context_bytes,
        nodes=dict(sorted(nodes.items())),
        wholes=tuple(wholes),
    )
    copies = tuple(
        Transfer(
            source=source,
            target=target,
            latency_seconds=gpu.copy_seconds,
            bytes_per_second=gpu.link_bytes_per_second,
        )
        for source, target in ((HOST, NAME), (NAME, HOST))
    )
    return measured.model_copy(update={"devices": (*measured.devices, entry), "transfers": copies})


def operations(graph: Graph, index: int, shapes: Shapes) -> float:
    """Floating-point operations of a node: what it does, on whatever device."""
    return _work(graph, index, shapes)[1]


def _cost(graph: Graph, index: int, shapes: Shapes, gpu: Gpu) -> NodeCost | None:
    """None for what ONNX Runtime's CUDA provider hands to the CPU."""
    node = graph.nodes[index]
    if _is_for_the_cpu(node) or _has_strings(graph, index):
        return None
    recurrent = node.op_type in RECURRENT
    launches, operations, moved = _work(graph, index, shapes)
    seconds = launches * gpu.launch_seconds + max(operations / gpu.flops_per_second, moved / gpu.bytes_per_second)
    # As profiling does: cuDNN keeps a second, packed copy of recurrent weights.
    return NodeCost(seconds=seconds, bytes=graph.constant_bytes(index) * (2 if recurrent else 1))


def _work(graph: Graph, index: int, shapes: Shapes) -> tuple[int, float, float]:
    """Kernel launches, floating-point operations, and bytes read and written."""
    node = graph.nodes[index]
    sizes = partial(size, graph, shapes)
    written = [sizes(name) for name in graph.writes[index]]
    results = sum(prod(size) for size in written)
    values = sum(graph.value_bytes(name, shapes) for name in (*graph.reads[index], *graph.writes[index]))
    moved = float(values + graph.constant_bytes(index))
    match node.op_type:
        case "LSTM" | "GRU" | "RNN":
            steps, batch, width = sizes(node.input[0])
            directions, rows, hidden = sizes(node.input[2])
            operations = 2 * steps * batch * directions * rows * (width + hidden)
            again = (steps - 1) * directions * rows * hidden * 4
            return 1 + steps * directions, operations, moved + again
        case "MatMul":
            return 1, 2 * results * sizes(node.input[0])[-1], moved
        case "Gemm":
            return 1, 2 * results * prod(sizes(node.input[0])) / written[0][0], moved
        case "Conv":
            return 1, 2 * results * prod(sizes(node.input[1])[1:]), moved
        case "Gather":
            return 1, results, 2.0 * sum(graph.value_bytes(name, shapes) for name in graph.writes[index])
        case _:
            return max([1, *(len(body.node) for body in bodies(node))]), results, moved


def size(graph: Graph, shapes: Shapes, name: str) -> tuple[int, ...]:
    """The shape of any value, constants included; empty where it is not known."""
    constant = graph.constants.get(name)
    return shapes.get(name, ()) if constant is None else tuple(constant.dims)


def _is_for_the_cpu(node: onnx.NodeProto) -> bool:
    """Recurrent nodes with what cuDNN does not have."""
    if node.op_type not in RECURRENT:
        return False
    attributes = {attribute.name: attribute for attribute in node.attribute}
    if {"clip", "activation_alpha", "activation_beta", "activations"} & attributes.keys():
        return True
    if node.op_type == "GRU":
        return "linear_before_reset" not in attributes or not attributes["linear_before_reset"].i
    peepholes = len(node.input) > 7 and bool(node.input[7])
    return peepholes or ("input_forget" in attributes and bool(attributes["input_forget"].i))


def _has_strings(graph: Graph, index: int) -> bool:
    names: Iterable[str] = (*graph.reads[index], *graph.writes[index])
    return any(kind.element == STRING for name in names if (kind := graph.types.get(name)))
