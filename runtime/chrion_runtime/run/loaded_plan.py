"""A plan made runnable: a kernel for each stage, and in which memories each value is needed."""

from collections.abc import Mapping
from dataclasses import dataclass

from chrion_graph.cut import NODE
from chrion_runtime.devices import HOST, Device, Memory
from chrion_runtime.engines import Kernel, Ports, engine_named
from chrion_runtime.errors import PlanRefused
from chrion_runtime.run.compiled_plan import CompiledPlan, StageFile
from chrion_runtime.run.kernels import KernelStore
from chrion_runtime.servable import StageLabel


@dataclass(frozen=True)
class LoadedStage:
    """One stage, ready to run: the n-th port is what the kernel calls the n-th value."""

    index: int
    label: StageLabel
    device: Device
    lanes: tuple[str, ...]
    kernel: Kernel
    ports: Ports
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    waits_for: int
    """Stages that must end before this one can start."""
    then: tuple[int, ...]
    """Stages that wait for this one."""
    nodes: tuple[str, ...]
    """What the model calls its nodes."""

    def in_words_of_the_model(self, text: str) -> str:
        """What its kernel says, with its nodes named as the model names them."""
        return NODE.sub(lambda found: self.nodes[int(found[1])] if int(found[1]) < len(self.nodes) else found[0], text)

    @property
    def memory(self) -> str:
        """The name of the memory that its values are in."""
        return self.device.memory.name

    @property
    def captured(self) -> bool:
        """Whether it is captured and replayed, always by its lane's own thread and with the same values."""
        return self.kernel.captures


class LoadedPlan:
    """All stages of one plan."""

    def __init__(
        self,
        compiled: CompiledPlan,
        devices: Mapping[str, Device],
        store: KernelStore,
        alone: bool = True,
        bucket: str = "",
    ) -> None:
        """`alone` says that no other plan runs in this process; `bucket` is the label of what the plan serves.

        Raises PlanRefused where the plan does not fit the devices.
        """
        self.plan = compiled.plan
        self.compiled = compiled
        self.alone = alone
        # Threads that wait actively help where they are the only ones and take cores from others where they are not.
        spin = alone and len(compiled.files) == 1
        self.stages = tuple(
            _stage(compiled, index, file, devices, store, spin, bucket) for index, file in enumerate(compiled.files)
        )
        self.reads = self._reads()
        """For each value that a stage reads from outside itself, the memories in which it is read."""
        self.memories = self._memories()
        """For each value that leaves its stage, the memories in which it is needed; answers on the host."""
        self.memory_of: dict[str, Memory] = {device.memory.name: device.memory for device in devices.values()}
        """Each memory by its name."""
        self.crossing = {
            name: stage.device.memory
            for stage in self.stages
            if not stage.device.memory.on_host
            for name in (*stage.inputs, *stage.outputs)
        }
        """The values that a device reads or makes which has a memory of its own, with the last such memory."""
        self.home = self.stages[compiled.last].lanes[0]

    @property
    def passed_through(self) -> frozenset[str]:
        """Outputs that are inputs, which no stage makes."""
        return frozenset(self.compiled.outputs) & frozenset(self.compiled.inputs)

    @property
    def lanes(self) -> tuple[str, ...]:
        """Every lane that the plan uses."""
        return tuple(dict.fromkeys(lane for stage in self.stages for lane in stage.lanes))

    def targets(self, name: str, answered: bool) -> tuple[str, ...]:
        """The memories in which a value is needed, where it is `answered` or, though an output, only read."""
        return self.memories[name] if answered else self.reads.get(name, ())

    def _reads(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, dict[str, None]] = {}
        for stage in self.stages:
            for name in stage.inputs:
                found.setdefault(name, {})[stage.memory] = None
        return {name: tuple(memories) for name, memories in found.items()}

    def _memories(self) -> dict[str, tuple[str, ...]]:
        answers = {name: tuple(dict.fromkeys((*self.reads.get(name, ()), HOST))) for name in self.compiled.outputs}
        return {**self.reads, **answers}


def _stage(
    compiled: CompiledPlan,
    index: int,
    file: StageFile,
    devices: Mapping[str, Device],
    store: KernelStore,
    spin: bool,
    bucket: str,
) -> LoadedStage:
    stage = compiled.plan.stages[index]
    device = devices.get(stage.device)
    if device is None or not set(stage.lanes) <= set(device.lanes):
        there = ", ".join(lane for item in devices.values() for lane in item.lanes)
        raise PlanRefused(
            f'plan "{compiled.plan.name}": stage {index} wants {", ".join(stage.lanes)}; there are {there}'
        )
    engine = engine_named(stage.engine)
    if problem := engine.problem(stage.device):
        raise PlanRefused(f'plan "{compiled.plan.name}": stage {index} wants the engine {stage.engine}: {problem}')
    if problem := engine.refusal(stage.options, stage.device):
        raise PlanRefused(f'plan "{compiled.plan.name}": stage {index} {problem}; plan again')
    return LoadedStage(
        index=index,
        label=StageLabel(bucket, compiled.plan.name, index, stage.lanes),
        device=device,
        lanes=stage.lanes,
        kernel=store.get(stage, file.path, device, spin, file.host_bytes),
        ports=file.ports,
        inputs=file.inputs,
        outputs=file.outputs,
        waits_for=file.waits_for,
        then=file.then,
        nodes=file.nodes,
    )
