"""Where the values of one request live while its stages run: loose, of any shape, or in a slot bound in advance."""

from collections.abc import Mapping
from typing import Protocol

import onnxruntime as ort

from chrion_runtime.devices import HOST, Value
from chrion_runtime.program import Program, StageProgram
from chrion_runtime.servable import Array


class Values(Protocol):
    """The values of one request in flight."""

    def load(self, feeds: Mapping[str, Array]) -> None:
        """Take the request's inputs."""

    def run(self, stage: StageProgram) -> None:
        """Run one stage and carry its outputs to where they are needed."""

    def results(self) -> dict[str, Array]:
        """The model's outputs, as arrays of the caller's own."""


class LooseValues:
    """Values of any shape and kind, allocated as they come."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.values: dict[tuple[str, str], Value] = {}

    def load(self, feeds: Mapping[str, Array]) -> None:
        for name, array in feeds.items():
            for memory in self._program.memories.get(name, ()):
                self.values[name, memory] = array if memory == HOST else self._program.device_of[memory].put(array)

    def run(self, stage: StageProgram) -> None:
        here = stage.device.memory
        inputs = [self.values[name, here] for name in stage.inputs]
        results = stage.device.run(stage.session, stage.input_names, inputs, stage.output_names)
        for name, value in zip(stage.outputs, results, strict=True):
            for memory in self._program.memories[name]:
                if memory == here:
                    self.values[name, here] = value
                    continue
                array = stage.device.get(value)
                self.values[name, memory] = array if memory == HOST else self._program.device_of[memory].put(array)

    def results(self) -> dict[str, Array]:
        return {name: self.values[name, HOST] for name in self._program.blueprint.outputs}


class Slot:
    """Values of one bucket's shapes, allocated and bound once, and used by one request after another."""

    def __init__(self, program: Program, example: LooseValues) -> None:
        """Shapes are those of `example`, which must have run."""
        self._program = program
        self._values: dict[tuple[str, str], ort.OrtValue] = {}
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

    def load(self, feeds: Mapping[str, Array]) -> None:
        for name, array in feeds.items():
            for memory in self._program.memories.get(name, ()):
                self._values[name, memory].update_inplace(array)

    def run(self, stage: StageProgram) -> None:
        stage.session.run_with_iobinding(self._bindings[stage.index])
        here = stage.device.memory
        for name in stage.outputs:
            for memory in self._program.memories[name]:
                if memory != here:
                    self._values[name, memory].update_inplace(self._values[name, here].numpy())

    def results(self) -> dict[str, Array]:
        return {name: self._values[name, HOST].numpy().copy() for name in self._program.blueprint.outputs}
