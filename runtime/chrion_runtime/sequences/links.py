"""Which outputs feed which inputs, checked against the model."""

from collections.abc import Mapping, Sequence

from chrion_api import StateLink
from chrion_graph.types import TensorType
from chrion_runtime.errors import StateRefused

Kinds = Mapping[str, TensorType | None]
"""The types of a model's inputs or outputs, by name."""


def state_links(links: Sequence[StateLink], inputs: Kinds, outputs: Kinds) -> dict[str, str]:
    """The input that each carried output feeds. Raises StateRefused for a link that the model cannot have."""
    found: dict[str, str] = {}
    for link in links:
        where = f"state {link.output}={link.input}"
        for side, name, known in (("output", link.output, outputs), ("input", link.input, inputs)):
            if name not in known:
                raise StateRefused(f'{where}: the model has no {side} "{name}"; it has {", ".join(known) or "none"}')
        if link.output in found:
            raise StateRefused(f'{where}: output "{link.output}" is given twice; it can feed one input')
        if link.input in found.values():
            raise StateRefused(f'{where}: input "{link.input}" is given twice; one output can feed it')
        _check_types(where, outputs[link.output], inputs[link.input])
        found[link.output] = link.input
    return found


def _check_types(where: str, output: TensorType | None, takes: TensorType | None) -> None:
    if output is None or takes is None:
        raise StateRefused(f"{where}: only tensors can be carried")
    if output.element != takes.element:
        raise StateRefused(f"{where}: the output has elements of {output.dtype}, but the input takes {takes.dtype}")
    if output.shape is None or takes.shape is None:
        return
    fixed = [(a, b) for a, b in zip(output.shape, takes.shape, strict=False) if isinstance(a, int)]
    if len(output.shape) != len(takes.shape) or any(isinstance(b, int) and a != b for a, b in fixed):
        raise StateRefused(
            f"{where}: the output has the shape {_written(output.shape)}, but the input takes {_written(takes.shape)}"
        )


def _written(shape: tuple[int | str | None, ...]) -> str:
    return "x".join("?" if axis is None else str(axis) for axis in shape) or "of a scalar"
