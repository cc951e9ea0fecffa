"""What one run takes from the run before it and leaves to the next: values that stay on the device that made them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnxruntime as ort

from chrion_runtime.devices import Device, Value
from chrion_runtime.servable import Array


@dataclass(frozen=True)
class HeldValue:
    """A value in a device's memory, as an array or an OrtValue; nothing else writes to it."""

    device: Device
    value: Value

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of its axes."""
        return tuple(self.value.shape if isinstance(self.value, np.ndarray) else self.value.shape())

    @property
    def nbytes(self) -> int:
        """Bytes of its elements."""
        if isinstance(self.value, np.ndarray):
            return self.value.nbytes
        size: int = self.value.tensor_size_in_bytes()
        return size

    def array(self) -> Array:
        """Its values on the host; on a device whose memory that is, a view that lives no longer than this."""
        return self.device.get(self.value)

    def loose(self, device: Device) -> Value:
        """The value as `device` runs it; copied only where that one has another memory."""
        if device.memory != self.device.memory:
            return device.put(self.array())
        # Views keep nothing alive: who runs this holds it meanwhile.
        on_host = isinstance(self.value, ort.OrtValue) and self.value.device_name() == "cpu"
        return self.value.numpy() if on_host else self.value

    def bound(self) -> ort.OrtValue:
        """The value as an OrtValue to be bound; never a copy."""
        return self.value if isinstance(self.value, ort.OrtValue) else ort.OrtValue.ortvalue_from_numpy(self.value)


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

    def keep(self, output: str, device: Device, value: Value) -> None:
        """Leave an output's value, which now belongs to the next run."""
        self.left[self.links[output]] = HeldValue(device, value)

    def hides(self, output: str) -> bool:
        """Whether the answer does without this output."""
        return output in self.links and output not in self.answered

    def split(self, results: dict[str, Array], host: Device) -> dict[str, Array]:
        """Leave what is carried of results on the host; the answer, in arrays of its own."""
        for output in self.links:
            self.keep(output, host, results[output])
        return {
            name: array.copy() if name in self.links else array
            for name, array in results.items()
            if not self.hides(name)
        }

    def keep_copies(self, arrays: Mapping[str, Array], host: Device) -> None:
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
