"""Where the values of one request live while its stages run: loose, of any shape, or in a slot bound in advance."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import onnxruntime as ort

from chrion_runtime.devices import HOST, BoundSession, Value
from chrion_runtime.run.loaded_plan import LoadedPlan, LoadedStage
from chrion_runtime.run.state_transfer import HeldValue, StateTransfer
from chrion_runtime.servable import Array
from chrion_runtime.stop import Stop


class Values(Protocol):
    """The values of one request in flight."""

    def load(self, feeds: Mapping[str, Array], transfer: StateTransfer | None) -> None:
        """Take the request's inputs, and those that are carried from the run before."""

    def run(self, stage: LoadedStage, stop: Stop | None) -> None:
        """Run one stage, on its lanes; `stop` ends it."""

    def deliver(self, stage: LoadedStage) -> None:
        """Bring what the stage made to where it is needed; needs no lane."""

    def results(self) -> dict[str, Array]:
        """The model's outputs, as arrays of the caller's own; what is carried on is left in the transfer."""

    def unload(self) -> None:
        """Let go of what `load` took; called also where a stage has failed."""


class LooseValues:
    """Values of any shape and kind, allocated as they come."""

    def __init__(self, loaded: LoadedPlan) -> None:
        self._loaded = loaded
        self._transfer: StateTransfer | None = None
        self.values: dict[tuple[str, str], Value] = {}

    def load(self, feeds: Mapping[str, Array], transfer: StateTransfer | None = None) -> None:
        self._transfer = transfer
        for name, array in feeds.items():
            for memory in self._loaded.memories.get(name, ()):
                self.values[name, memory] = array if memory == HOST else self._loaded.device_of[memory].put(array)
        for name, held in transfer.taken.items() if transfer else ():
            for memory in self._loaded.memories.get(name, ()):
                self.values[name, memory] = held.loose(self._loaded.device_of[memory])

    def run(self, stage: LoadedStage, stop: Stop | None = None) -> None:
        here, transfer = stage.device.memory, self._transfer
        inputs = [self.values[name, here] for name in stage.inputs]
        results = stage.device.run(stage.session, stage.input_names, inputs, stage.output_names, stop)
        for name, value in zip(stage.outputs, results, strict=True):
            if transfer is not None and name in transfer.links:
                transfer.keep(name, stage.device, value)
            self.values[name, here] = value

    def deliver(self, stage: LoadedStage) -> None:
        here, transfer = stage.device.memory, self._transfer
        for name in stage.outputs:
            targets = self._loaded.targets(name, transfer is None or not transfer.hides(name))
            value = self.values[name, here] if here in targets else self.values.pop((name, here))
            if others := [memory for memory in targets if memory != here]:
                array = stage.device.get(value)
                for memory in others:
                    put = self._loaded.device_of[memory].put
                    self.values[name, memory] = array if memory == HOST else put(array)

    def results(self) -> dict[str, Array]:
        transfer, names = self._transfer, self._loaded.compiled.outputs
        if transfer is None:
            return {name: self.values[name, HOST] for name in names}
        found = {name: self.values[name, HOST] for name in names if (name, HOST) in self.values}
        transfer.keep_copies(found, self._loaded.device_of[HOST])
        return {
            name: array.copy() if name in transfer.links else array
            for name, array in found.items()
            if not transfer.hides(name)
        }

    def unload(self) -> None:
        self._transfer = None


class Slot:
    """Values of one bucket's shapes, allocated and bound once, and used by one request after another.

    State is not copied into a slot and out of it: a run is bound to the state that it reads, and leaves the slot's own
    buffer as the next state. Only what a captured stage reads or writes stays where it is, and there state is copied,
    on the device.
    """

    def __init__(self, loaded: LoadedPlan, example: LooseValues) -> None:
        """Shapes are those of `example`, which must have run."""
        self._loaded = loaded
        self._transfer: StateTransfer | None = None
        self._shapes = {name: _shape(value) for (name, _), value in example.values.items()}
        self._values = {(name, memory): self._allocate(name, memory) for name, memory in example.values}
        self._lent: dict[tuple[str, str], ort.OrtValue] = {}
        """Buffers of the slot's own whose place a request's state has taken."""
        self._staging: dict[str, Array] = {}
        """Where values of which the host has no tensor of its own pass through it."""
        self._fixed = frozenset(
            (name, stage.device.memory)
            for stage in loaded.stages
            if stage.captured
            for name in (*stage.inputs, *stage.outputs)
        )
        self._bound = tuple(self._bind(stage) for stage in loaded.stages)

    def _bind(self, stage: LoadedStage) -> BoundSession:
        bound = stage.device.bind(stage.session, stage.captured)
        here = stage.device.memory
        for name, value in zip(stage.input_names, stage.inputs, strict=True):
            bound.input(name, self._values[value, here])
        for name, value in zip(stage.output_names, stage.outputs, strict=True):
            if (value, here) not in self._values:
                self._values[value, here] = self._allocate(value, here)
            bound.output(name, self._values[value, here])
        return bound

    def _allocate(self, name: str, memory: str) -> ort.OrtValue:
        dtype, shape = self._loaded.compiled.types[name].dtype, self._shapes[name]
        if memory == HOST and name in self._loaded.crossing:
            return ort.OrtValue.ortvalue_from_numpy(self._loaded.crossing[name].host(dtype, shape))
        return self._loaded.device_of[memory].allocate(dtype, shape)

    def _on_host(self, name: str) -> Array:
        """The host's side of a value that crosses: its tensor there, else a place to pass through."""
        if (name, HOST) in self._values:
            array: Array = self._values[name, HOST].numpy()
            return array
        if name not in self._staging:
            dtype = self._loaded.compiled.types[name].dtype
            self._staging[name] = self._loaded.crossing[name].host(dtype, self._shapes[name])
        return self._staging[name]

    def load(self, feeds: Mapping[str, Array], transfer: StateTransfer | None) -> None:
        self._transfer = transfer
        for name, array in feeds.items():
            memories = self._loaded.memories.get(name, ())
            if not memories:
                continue
            if memories == (HOST,):
                self._values[name, HOST].update_inplace(array)
                continue
            host = self._on_host(name)
            np.copyto(host, array)
            for memory in memories:
                if memory != HOST:
                    self._loaded.device_of[memory].write(self._values[name, memory], host)
        for name, held in transfer.taken.items() if transfer else ():
            for memory in self._loaded.memories.get(name, ()):
                self._take(name, memory, held)

    def _take(self, name: str, memory: str, held: HeldValue) -> None:
        """Read state that is held, where it is if it may stay there."""
        if memory != held.device.memory:
            self._loaded.device_of[memory].write(self._values[name, memory], held.array())
        elif (name, memory) in self._fixed:
            held.device.copy(held.bound(), self._values[name, memory])
        else:
            self._lent[name, memory] = self._values[name, memory]
            self._place(name, memory, held.bound())

    def _place(self, name: str, memory: str, value: ort.OrtValue) -> None:
        """Have every stage read or write this value from now on."""
        self._values[name, memory] = value
        for stage, bound in zip(self._loaded.stages, self._bound, strict=True):
            if stage.device.memory != memory:
                continue
            if name in stage.inputs:
                bound.input(stage.input_names[stage.inputs.index(name)], value)
            if name in stage.outputs:
                bound.output(stage.output_names[stage.outputs.index(name)], value)

    def run(self, stage: LoadedStage, stop: Stop | None = None) -> None:
        self._bound[stage.index].run(stop)

    def deliver(self, stage: LoadedStage) -> None:
        here, transfer = stage.device.memory, self._transfer
        for name in stage.outputs:
            targets = self._loaded.targets(name, transfer is None or not transfer.hides(name))
            if all(memory == here for memory in targets):
                continue
            host = self._on_host(name)
            if here != HOST:
                stage.device.read(self._values[name, here], host)
            for memory in targets:
                if memory not in (here, HOST):
                    self._loaded.device_of[memory].write(self._values[name, memory], host)

    def results(self) -> dict[str, Array]:
        transfer, names = self._transfer, self._loaded.compiled.outputs
        found = {
            name: self._values[name, HOST].numpy().copy()
            for name in names
            if transfer is None or not transfer.hides(name)
        }
        if transfer is not None:
            self._leave(transfer)
        return found

    def _leave(self, transfer: StateTransfer) -> None:
        for stage in self._loaded.stages:
            here = stage.device.memory
            for output in transfer.links.keys() & set(stage.outputs):
                made = self._values[output, here]
                spare = self._spare(transfer, output, stage, made)
                if (output, here) in self._fixed:
                    stage.device.copy(made, spare)
                    transfer.keep(output, stage.device, spare)
                else:
                    transfer.keep(output, stage.device, made)
                    self._place(output, here, spare)
        host = self._loaded.device_of[HOST]
        through = {
            name: self._values[name, HOST].numpy() for name in self._loaded.passed_through & transfer.links.keys()
        }
        transfer.keep_copies(through, host)

    def _spare(self, transfer: StateTransfer, output: str, stage: LoadedStage, made: ort.OrtValue) -> ort.OrtValue:
        """A buffer beside the one that was written: the state that was read and is of no more use, else a new one."""
        read = transfer.taken[transfer.links[output]]
        if read.device.memory == stage.device.memory and read.shape == tuple(made.shape()):
            return read.bound()
        return stage.device.allocate(self._loaded.compiled.types[output].dtype, made.shape())

    def unload(self) -> None:
        self._transfer = None
        for (name, memory), value in self._lent.items():
            self._place(name, memory, value)
        self._lent.clear()


def _shape(value: Value) -> tuple[int, ...]:
    return tuple(value.shape if isinstance(value, np.ndarray) else value.shape())
