"""Give a node canonical names, also inside its control-flow bodies, so that nodes alike become the same bytes."""

from collections import ChainMap
from collections.abc import Iterator, MutableMapping
from itertools import count

import onnx

from chrion_graph.bodies import bodies


def renamed(node: onnx.NodeProto, names: MutableMapping[str, str]) -> onnx.NodeProto:
    """A copy of a node without remarks: `names` says what the values outside are called.

    Values inside its bodies get names of their own, which can never be taken for one of those outside.
    """
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    _rename(copy, names, count())
    return copy


def _rename(node: onnx.NodeProto, names: MutableMapping[str, str], fresh: Iterator[int]) -> None:
    for remark in ("name", "doc_string", "metadata_props"):
        node.ClearField(remark)
    node.input[:] = [names.get(name, name) for name in node.input]
    node.output[:] = [names.get(name, name) for name in node.output]
    for body in bodies(node):
        _rename_body(body, ChainMap({}, names), fresh)


def _rename_body(body: onnx.GraphProto, names: MutableMapping[str, str], fresh: Iterator[int]) -> None:
    made = [name for node in body.node for name in node.output if name]
    stored = [*body.initializer, *(sparse.values for sparse in body.sparse_initializer)]
    for name in dict.fromkeys((*(value.name for value in body.input), *(tensor.name for tensor in stored), *made)):
        names[name] = f"chrion.b{next(fresh)}"
    for item in (*body.input, *stored, *body.output):
        item.name = names.get(item.name, item.name)
        item.ClearField("doc_string")
    for node in body.node:
        _rename(node, names, fresh)
    for remark in ("value_info", "quantization_annotation", "doc_string", "metadata_props"):
        body.ClearField(remark)
    body.name = "body"
