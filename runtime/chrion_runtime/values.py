"""Where the values of one request live while its stages run: loose, of any shape, or in a slot bound in advance."""

from collections.abc import Mapping
from typing import Protocol

import onnxruntime as ort

from chrion_runtime.carry import Carry
from chrion_runtime.devices import HOST, Value
from chrion_runtime.program import Program, StageProgram
from chrion_runtime.servable import Array


class Values(Protocol):
    """The values of one request in flight."""

    def load(self, feeds: Mapping[str, Array], carry: Carry | None) -> None:
        """Take the request's inputs, and those that are carried from the run before."""

    def run(self, stage: StageProgram) -> None:
        """Run one stage and carry its outputs to where they are needed."""

    def results(self) -> dict[str, Array]:
        """The model's outputs, as arrays of the caller's own; what is carried on is left in the carry."""

    def unload(self) -> None:
        """Let go of what `load` took; called also where a stage has failed."""


class LooseValues:
    """Values of any shape and kind, allocated as they come."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._carry: Carry | None = None
        self.values: dict[tuple[str, str], Value] = {}

    def load(self, feeds: Mapping[str, Array], carry: Carry | None = None) -> None:
        self._carry = carry
        for name, array in feeds.items():
            for memory in self._program.memories.get(name, ()):
                self.values[name, memory] = array if memory == HOST else self._program.device_of[memory].put(array)
        for name, held in carry.taken.items() if carry else ():
            for memory in self._program.memories.get(name, ()):
                self.values[name, memory] = held.loose(self._program.device_of[memory])

    def run(self, stage: StageProgram) -> None:
        here, carry = stage.device.memory, self._carry
        inputs = [self.values[name, here] for name in stage.inputs]
        results = stage.device.run(stage.session, stage.input_names, inputs, stage.output_names)
        for name, value in zip(stage.outputs, results, strict=True):
            if carry is not None and name in carry.links:
                carry.keep(name, stage.device, value)
            for memory in self._program.targets(name, carry is None or not carry.hides(name)):
                if memory == here:
                    self.values[name, here] = value
                    continue
                array = stage.device.get(value)
                self.values[name, memory] = array if memory == HOST else self._program.device_of[memory].put(array)

    def results(self) -> dict[str, Array]:
        carry, names = self._carry, self._program.blueprint.outputs
        if carry is None:
            return {name: self.values[name, HOST] for name in names}
        found = {name: self.values[name, HOST] for name in names if (name, HOST) in self.values}
        carry.keep_copies(found, self._program.device_of[HOST])
        return {
            name: array.copy() if name in carry.links else array
            for name, array in found.items()
            if not carry.hides(name)
        }

    def unload(self) -> None:
        self._carry = None


class Slot:
    """Values of one bucket's shapes, allocated and bound once, and used by one request after another.

    State is not copied into a slot and out of it: a run is bound to the state that it reads, and leaves the slot's own
    buffer as the next state.
    """

    def __init__(self, program: Program, example: LooseValues) -> None:
        """Shapes are those of `example`, which must have run."""
        self._program = program
        self._carry: Carry | None = None
        self._values: dict[tuple[str, str], ort.OrtValue] = {}
        self._lent: dict[tuple[str, str], ort.OrtValue] = {}
        """Buffers of the slot's own whose place a request's state has taken."""
        for (name, memory), value in example.values.items():
            array = value if memory == HOST else program.device_of[memory].get(value)
            self._values[name, memory] = program.device_of[memory].allocate(array.dtype, array.shape)
        self._bindings = tuple(self._bind(stage) for stage in program.stages)

    def _bind(self, stage: StageProgram) -> ort.IOBinding:
        binding = stage.session.io_binding()
        here = stage.device.memory
        for name, value in zip(stage.input_names, stage.inputs, strict=True):
            binding.bind_ortvalue_input(name, self._values[value, here])
        for name, value in zip(stage.output_names, stage.outputs, strict=True):
            if (value, here) not in self._values:
                source = self._values[value, self._program.memories[value][0]]
                self._values[value, here] = stage.device.allocate(source.numpy().dtype, source.shape())
            binding.bind_ortvalue_output(name, self._values[value, here])
        return binding

    def load(self, feeds: Mapping[str, Array], carry: Carry | None) -> None:
        self._carry = carry
        for name, array in feeds.items():
            for memory in self._program.memories.get(name, ()):
                self._values[name, memory].update_inplace(array)
        for name, held in carry.taken.items() if carry else ():
            for memory in self._program.memories.get(name, ()):
                if memory == held.device.memory:
                    self._lent[name, memory] = self._values[name, memory]
                    self._place(name, memory, held.bound())
                else:
                    self._values[name, memory].update_inplace(held.array())

    def _place(self, name: str, memory: str, value: ort.OrtValue) -> None:
        """Have every stage read or write this value from now on."""
        self._values[name, memory] = value
        for stage, binding in zip(self._program.stages, self._bindings, strict=True):
            if stage.device.memory != memory:
                continue
            if name in stage.inputs:
                binding.bind_ortvalue_input(stage.input_names[stage.inputs.index(name)], value)
            if name in stage.outputs:
                binding.bind_ortvalue_output(stage.output_names[stage.outputs.index(name)], value)

    def run(self, stage: StageProgram) -> None:
        stage.session.run_with_iobinding(self._bindings[stage.index])
        here, carry = stage.device.memory, self._carry
        for name in stage.outputs:
            for memory in self._program.targets(name, carry is None or not carry.hides(name)):
                if memory != here:
                    self._values[name, memory].update_inplace(stage.device.get(self._values[name, here]))

    def results(self) -> dict[str, Array]:
        carry, names = self._carry, self._program.blueprint.outputs
        found = {
            name: self._values[name, HOST].numpy().copy() for name in names if carry is None or not carry.hides(name)
        }
        if carry is not None:
            self._leave(carry)
        return found

    def _leave(self, carry: Carry) -> None:
        for stage in self._program.stages:
            here = stage.device.memory
            for output in carry.links.keys() & set(stage.outputs):
                made = self._values[output, here]
                carry.keep(output, stage.device, made)
                self._place(output, here, self._spare(carry, output, stage, made))
        host = self._program.device_of[HOST]
        through = {name: self._values[name, HOST].numpy() for name in self._program.passed_through & carry.links.keys()}
        carry.keep_copies(through, host)

    def _spare(self, carry: Carry, output: str, stage: StageProgram, made: ort.OrtValue) -> ort.OrtValue:
        """A buffer in place of the one that left: the state that was read and is of no more use, else a new one."""
        read = carry.taken[carry.links[output]]
        if read.device.memory == stage.device.memory and read.shape == tuple(made.shape()):
            return read.bound()
        return stage.device.allocate(self._program.blueprint.types[output].dtype, made.shape())

    def unload(self) -> None:
        self._carry = None
        for (name, memory), value in self._lent.items():
            self._place(name, memory, value)
        self._lent.clear()
