"""What one run takes from the run before it and leaves to the next: values that stay on the device that made them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from chrion_runtime.devices import HostTensor, Memory, Tensor
from chrion_runtime.servable import Array


@dataclass(frozen=True)
class HeldValue:
    """A tensor in some memory; nobody else writes to it."""

    memory: Memory
    tensor: Tensor

    def __post_init__(self) -> None:
        if isinstance(self.tensor, np.ndarray):  # it will be bound again and again, and written to in the end
            object.__setattr__(self, "tensor", HostTensor(np.require(self.tensor, requirements=["C", "W"])))

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of its axes."""
        return self.tensor.shape

    @property
    def nbytes(self) -> int:
        """Bytes of its elements."""
        return self.tensor.nbytes

    def array(self) -> Array:
        """Its values on the host; where they are there anyway, a view that lives no longer than this."""
        return self.memory.get(self.tensor)

    def within(self, memory: Memory) -> Tensor:
        """The tensor in a memory; copied only where that is another one."""
        return self.tensor if memory.name == self.memory.name else memory.put(self.array())


@dataclass
class StateTransfer:
    """The state of one run: `links` names, for each output that is carried, the input that takes it next time."""

    links: Mapping[str, str]
    answered: frozenset[str] = frozenset()
    """Carried outputs that the answer holds too; others need not come to the host."""
    taken: Mapping[str, HeldValue] = field(default_factory=dict)
    """By input, what the run reads. A run that fails leaves it as it is; one that ends well may write to it after."""
    room: Callable[[int, str], None] = lambda _nbytes, _what: None
    """Told the bytes of the state that a sequence starts with, and what to call it, before it is made; may refuse."""
    left: dict[str, HeldValue] = field(default_factory=dict)
    """By input, what the next run is to read; complete when the run has ended well."""

    def keep(self, output: str, memory: Memory, tensor: Tensor) -> None:
        """Leave an output's value, which now belongs to the next run."""
        self.left[self.links[output]] = HeldValue(memory, tensor)

    def hides(self, output: str) -> bool:
        """Whether the answer does without this output."""
        return output in self.links and output not in self.answered

    def split(self, results: Mapping[str, Tensor], host: Memory) -> dict[str, Array]:
        """Leave what is carried of results on the host; the answer, in arrays of its own."""
        for output in self.links:
            self.keep(output, host, results[output])
        return {
            name: host.get(tensor).copy() if name in self.links else host.get(tensor)
            for name, tensor in results.items()
            if not self.hides(name)
        }

    def keep_copies(self, arrays: Mapping[str, Array], host: Memory) -> None:
        """Leave copies of outputs that no stage makes, for they are inputs of the model."""
        for output, name in self.links.items():
            if name not in self.left:
                self.left[name] = HeldValue(host, arrays[output].copy())


def shapes_of(feeds: Mapping[str, Array], transfer: StateTransfer | None) -> dict[str, tuple[int, ...]]:
    """The shapes of a run's inputs, of those that are carried too."""
    shapes = {name: array.shape for name, array in feeds.items()}
    for name, held in transfer.taken.items() if transfer else ():
        shapes[name] = held.shape
    return shapes
