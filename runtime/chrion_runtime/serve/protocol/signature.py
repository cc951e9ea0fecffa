"""What a model takes and gives, in the protocol's words, and whether a tensor fits it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from types import MappingProxyType

from chrion_runtime.errors import RuntimeFailure
from chrion_runtime.servable import TensorSpec
from chrion_runtime.serve.protocol.datatypes import DTYPES, datatype_of
from chrion_runtime.serve.protocol.errors import BadRequest

MAX_RANK = 64
"""As many axes as numpy has."""
MAX_SIZE = 2**63 - 1
"""As many bytes as numpy can address."""


@dataclass(frozen=True)
class Port:
    """One input or output: its spec and the protocol's name for its element type."""

    spec: TensorSpec
    datatype: str

    @property
    def shape(self) -> list[int]:
        """The shape with -1 for open axes; [-1] too where the rank is open, for which the protocol has no word."""
        return self.spec.open_as_minus_one

    def check(self, where: str, datatype: str, shape: tuple[int, ...]) -> None:
        """Raise BadRequest unless a tensor of this datatype and shape may stand here."""
        if datatype not in DTYPES:
            raise BadRequest(f"{where}: {datatype[:40]!r} is not a datatype; this input takes {self.datatype}")
        if datatype != self.datatype:
            raise BadRequest(f"{where}: datatype is {datatype}, but the model takes {self.datatype}")
        if misfit := self.spec.misfit(shape):
            raise BadRequest(f"{where}: {misfit}")
        # An axis of size 0 makes the tensor empty, but numpy still multiplies the others.
        if prod(size for size in shape if size) * self.spec.dtype.itemsize > MAX_SIZE:
            raise BadRequest(f"{where}: shape {list(shape)} is too large")


class Signature:
    """The inputs and outputs of a model by name, and what feeds what within a sequence.

    Raises RuntimeFailure when one has an element type that the protocol lacks.
    """

    def __init__(
        self, inputs: Iterable[TensorSpec], outputs: Iterable[TensorSpec], state: Mapping[str, str] | None = None
    ) -> None:
        self.inputs: Mapping[str, Port] = _ports("input", inputs)
        self.outputs: Mapping[str, Port] = _ports("output", outputs)
        self.state = dict(state or {})
        """The input that each output feeds."""
        self.carried = frozenset(self.state.values())
        """Inputs that a request of a sequence leaves out."""
        self.has_strings = any(port.spec.dtype.hasobject for port in self.inputs.values())
        self.kept: dict[bytes, object] = {}
        """What reading requests keeps of those that it has read."""


def _ports(kind: str, specs: Iterable[TensorSpec]) -> Mapping[str, Port]:
    ports = {}
    for spec in specs:
        datatype = datatype_of(spec.dtype)
        if datatype is None:
            raise RuntimeFailure(
                f'{kind} "{spec.name}" has the element type {spec.dtype}, which the inference protocol lacks: '
                "cast it inside the model"
            )
        ports[spec.name] = Port(spec, datatype)
    return MappingProxyType(ports)
