"""Where the values of one request live while its stages run: loose, of any shape, or in a slot bound in advance."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from chrion_runtime.devices import HOST, HostTensor, Tensor
from chrion_runtime.devices.memory import copy_into
from chrion_runtime.engines import Call
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
        self.values: dict[tuple[str, str], Tensor] = {}

    def load(self, feeds: Mapping[str, Array], transfer: StateTransfer | None = None) -> None:
        self._transfer = transfer
        for name, array in feeds.items():
            for memory in self._loaded.memories.get(name, ()):
                self.values[name, memory] = self._loaded.memory_of[memory].put(array)
        for name, held in transfer.taken.items() if transfer else ():
            for memory in self._loaded.memories.get(name, ()):
                self.values[name, memory] = held.within(self._loaded.memory_of[memory])

    def run(self, stage: LoadedStage, stop: Stop | None = None) -> None:
        here, transfer = stage.memory, self._transfer
        reads = [self.values[name, here] for name in stage.inputs]
        results = stage.kernel.run(stage.ports, reads, stop)
        for name, tensor in zip(stage.outputs, results, strict=True):
            if transfer is not None and name in transfer.links:
                transfer.keep(name, stage.device.memory, tensor)
            self.values[name, here] = tensor

    def deliver(self, stage: LoadedStage) -> None:
        here, transfer = stage.memory, self._transfer
        for name in stage.outputs:
            targets = self._loaded.targets(name, transfer is None or not transfer.hides(name))
            tensor = self.values[name, here] if here in targets else self.values.pop((name, here))
            if others := [memory for memory in targets if memory != here]:
                array = stage.device.memory.get(tensor)
                for memory in others:
                    self.values[name, memory] = self._loaded.memory_of[memory].put(array)

    def results(self) -> dict[str, Array]:
        transfer, names = self._transfer, self._loaded.compiled.outputs
        host = self._loaded.memory_of[HOST]
        found = {name: host.get(self.values[name, HOST]) for name in names if (name, HOST) in self.values}
        if transfer is None:
            return found
        transfer.keep_copies(found, host)
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
        self._host = loaded.memory_of[HOST]
        self._transfer: StateTransfer | None = None
        self._shapes = {name: tensor.shape for (name, _), tensor in example.values.items()}
        self._values = {(name, memory): self._allocate(name, memory) for name, memory in example.values}
        self._lent: dict[tuple[str, str], Tensor] = {}
        """Buffers of the slot's own whose place a request's state has taken."""
        self._staging: dict[str, Array] = {}
        """Where values of which the host has no tensor of its own pass through it."""
        self._fixed = frozenset(
            (name, stage.memory)
            for stage in loaded.stages
            if stage.captured
            for name in (*stage.inputs, *stage.outputs)
        )
        self._calls = tuple(self._bind(stage) for stage in loaded.stages)

    def _bind(self, stage: LoadedStage) -> Call:
        here = stage.memory
        for name in stage.outputs:
            if (name, here) not in self._values:
                self._values[name, here] = self._allocate(name, here)
        reads, writes = ([self._values[name, here] for name in names] for names in (stage.inputs, stage.outputs))
        return stage.kernel.bind(stage.ports, reads, writes)

    def _allocate(self, name: str, memory: str) -> Tensor:
        dtype, shape = self._loaded.compiled.types[name].dtype, self._shapes[name]
        if memory == HOST and name in self._loaded.crossing:
            return HostTensor(self._loaded.crossing[name].host(dtype, shape))
        return self._loaded.memory_of[memory].allocate(dtype, shape)

    def _on_host(self, name: str) -> Array:
        """The host's side of a value that crosses: its tensor there, else a place to pass through."""
        if (name, HOST) in self._values:
            return np.asarray(self._values[name, HOST])
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
                self._host.write(self._values[name, HOST], array)
                continue
            host = self._on_host(name)
            copy_into(host, array)
            for memory in memories:
                if memory != HOST:
                    self._loaded.memory_of[memory].write(self._values[name, memory], host)
        for name, held in transfer.taken.items() if transfer else ():
            for memory in self._loaded.memories.get(name, ()):
                self._take(name, memory, held)

    def _take(self, name: str, memory: str, held: HeldValue) -> None:
        """Read state that is held, where it is if it may stay there."""
        if memory != held.memory.name:
            self._loaded.memory_of[memory].write(self._values[name, memory], held.array())
        elif (name, memory) in self._fixed:
            held.memory.copy(held.tensor, self._values[name, memory])
        else:
            self._lent[name, memory] = self._values[name, memory]
            self._place(name, memory, held.tensor)

    def _place(self, name: str, memory: str, tensor: Tensor) -> None:
        """Have every stage read or write this tensor from now on."""
        self._values[name, memory] = tensor
        for stage, call in zip(self._loaded.stages, self._calls, strict=True):
            if stage.memory != memory:
                continue
            if name in stage.inputs:
                call.read(stage.inputs.index(name), tensor)
            if name in stage.outputs:
                call.write(stage.outputs.index(name), tensor)

    def run(self, stage: LoadedStage, stop: Stop | None = None) -> None:
        self._calls[stage.index](stop)

    def deliver(self, stage: LoadedStage) -> None:
        here, transfer = stage.memory, self._transfer
        for name in stage.outputs:
            targets = self._loaded.targets(name, transfer is None or not transfer.hides(name))
            if all(memory == here for memory in targets):
                continue
            host = self._on_host(name)
            if here != HOST:
                stage.device.memory.read(self._values[name, here], host)
            for memory in targets:
                if memory not in (here, HOST):
                    self._loaded.memory_of[memory].write(self._values[name, memory], host)

    def results(self) -> dict[str, Array]:
        transfer, names = self._transfer, self._loaded.compiled.outputs
        found = {
            name: self._host.get(self._values[name, HOST]).copy()
            for name in names
            if transfer is None or not transfer.hides(name)
        }
        if transfer is not None:
            self._leave(transfer)
        return found

    def _leave(self, transfer: StateTransfer) -> None:
        for stage in self._loaded.stages:
            here, memory = stage.memory, stage.device.memory
            for output in transfer.links.keys() & set(stage.outputs):
                made = self._values[output, here]
                spare = self._spare(transfer, output, stage, made)
                if (output, here) in self._fixed:
                    memory.copy(made, spare)
                    transfer.keep(output, memory, spare)
                else:
                    transfer.keep(output, memory, made)
                    self._place(output, here, spare)
        names = self._loaded.passed_through & transfer.links.keys()
        transfer.keep_copies({name: self._host.get(self._values[name, HOST]) for name in names}, self._host)

    def _spare(self, transfer: StateTransfer, output: str, stage: LoadedStage, made: Tensor) -> Tensor:
        """A buffer beside the one that was written: the state that was read and is of no more use, else a new one."""
        read = transfer.taken[transfer.links[output]]
        alike = type(read.tensor) is type(made)  # a kernel's own layout is for reading
        if alike and read.memory.name == stage.memory and read.shape == made.shape:
            return read.tensor
        return stage.device.memory.allocate(self._loaded.compiled.types[output].dtype, made.shape)

    def unload(self) -> None:
        self._transfer = None
        for (name, memory), tensor in self._lent.items():
            self._place(name, memory, tensor)
        self._lent.clear()
