"""When stages run: the simulator that judges every grouping, and the DAG of stages that it runs on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import NamedTuple, Self

from chrion_api import HOST
from chrion_planner.errors import ScheduleError
from chrion_planner.partition import contention
from chrion_planner.partition.problem import Place, Problem, StagePlan


@dataclass(frozen=True)
class Simulation:
    """Stages with their times, in the order of their start, and the makespan in seconds."""

    stages: tuple[StagePlan, ...]
    makespan: float
    """When the last stage has ended and the whole answer is on the host."""


def simulate(problem: Problem, stages: Sequence[StagePlan]) -> Simulation:
    """The times of the stages; each lane runs its stages in the order given, each as early as it can.

    A stage takes its device's hop and the seconds of its tasks at its place; longer for as long as other lanes of the
    device are busy, where `problem.crowded` says so. It starts when every lane it holds is
    free, its part of the request has arrived, and every value it reads has: a value can leave when the whole stage
    that makes it has ended, and the values that one stage reads from another travel together. The times in `stages`
    are not looked at. Raises ScheduleError where stages wait for one another in a circle, or one cannot run where it
    is.
    """
    simulation = StageDag.of(problem, stages).run()
    if simulation is None:
        raise ScheduleError("acyclic stages", "stages wait for one another in a circle")
    return simulation


def reads(
    problem: Problem, tasks: Iterable[int], stage_of: Sequence[int] | Mapping[int, int], own: int
) -> dict[int, int]:
    """Bytes that a stage of these tasks, numbered `own`, reads from each other stage; each producer's value once."""
    producers = problem.producers
    values: dict[int, int] = {}
    for task in tasks:
        for producer, nbytes in producers[task]:
            if stage_of[producer] != own and nbytes >= values.get(producer, 0):
                values[producer] = nbytes
    total: dict[int, int] = {}
    for producer, nbytes in values.items():
        stage = stage_of[producer]
        total[stage] = total.get(stage, 0) + nbytes
    return total


class Node(NamedTuple):
    """One stage: what it waits for and how long it holds its lanes."""

    tasks: tuple[int, ...]
    place: Place
    held: tuple[int, ...]
    """The lanes that it holds, the leading one first."""
    seconds: float
    crowded: float
    """Seconds while all other lanes of the device are busy."""
    request: float
    """Seconds until its part of the request has arrived."""
    answer: float
    """Seconds from its end until its part of the answer is on the host."""


class StageDag:
    """Stages at places that can be merged and moved; every change gives a new DAG and leaves the old one alone."""

    def __init__(
        self,
        problem: Problem,
        nodes: dict[int, Node],
        orders: list[list[int]],
        stage_of: list[int],
        reads_of: dict[int, dict[int, int]],
    ) -> None:
        self.problem = problem
        self.nodes = nodes
        self.orders = orders
        """For each lane its stages in order; a wide stage is in the order of every lane of its device."""
        self.stage_of = stage_of
        self.reads_of = reads_of
        """For each stage the stages it reads from, with the bytes."""
        self.start: dict[int, float] = {}
        self.finish: dict[int, float] = {}
        self.cause: dict[int, int | None] = {}
        """For each stage the one that it started right after: its lane's last, or the last it waited for."""
        self.makespan = self._time()

    @classmethod
    def of(cls, problem: Problem, stages: Sequence[StagePlan]) -> Self:
        """The DAG of these stages."""
        stage_of = [-1] * len(problem.tasks)
        orders: list[list[int]] = [[] for _ in problem.lanes]
        for index, stage in enumerate(stages):
            for lane in problem.lanes_at(stage.place):
                orders[lane].append(index)
            for task in stage.tasks:
                stage_of[task] = index
        nodes = {index: _node(problem, stage.tasks, stage.place) for index, stage in enumerate(stages)}
        reads_of = {index: reads(problem, stage.tasks, stage_of, index) for index, stage in enumerate(stages)}
        return cls(problem, nodes, orders, stage_of, reads_of)

    def run(self) -> Simulation | None:
        """The stages with their times; None where they wait for one another in a circle."""
        if self.makespan is None:
            return None
        stages = tuple(
            StagePlan(node.tasks, node.place.lane, self.start[index], self.finish[index], node.place.wide)
            for index, node in ((index, self.nodes[index]) for index in self.in_order())
        )
        return Simulation(stages, self.makespan)

    def in_order(self) -> list[int]:
        """The stages in the order of their starts, each after those that it waits for: lanes keep it, too.

        Those that begin and end together take no time: they come as they were timed.
        """
        nodes, start, finish = self.nodes, self.start, self.finish
        turn = {stage: turn for turn, stage in enumerate(finish) if start[stage] == finish[stage]}

        def key(stage: int) -> tuple[float, float, int, int, tuple[int, ...]]:
            node = nodes[stage]
            return start[stage], finish[stage], turn.get(stage, 0), node.place.lane, node.tasks

        return sorted(nodes, key=key)

    def merged(self, into: int, other: int) -> Self:
        """Two stages as one, which has the number and the place in time and on lanes of the one merged into."""
        nodes, reads_of, stage_of = dict(self.nodes), dict(self.reads_of), list(self.stage_of)
        orders = [list(order) for order in self.orders]
        a, b = nodes[into], nodes.pop(other)
        # Task numbers are a topological order, so sorting them is one too.
        nodes[into] = _node(self.problem, tuple(sorted(a.tasks + b.tasks)), a.place)
        for lane in b.held:
            orders[lane].remove(other)
        consumers = {stage_of[c] for task in b.tasks for c, _ in self.problem.consumers[task]} - {into, other}
        for task in b.tasks:
            stage_of[task] = into
        del reads_of[other]
        reads_of[into] = reads(self.problem, nodes[into].tasks, stage_of, into)
        for consumer in consumers:
            read = dict(reads_of[consumer])
            read[into] = read.get(into, 0) + read.pop(other)
            reads_of[consumer] = read
        return type(self)(self.problem, nodes, orders, stage_of, reads_of)

    def moved(self, stage: int, place: Place) -> Self:
        """The stage at another place, on each lane before the first stage that now starts later than it does."""
        nodes, orders = dict(self.nodes), [list(order) for order in self.orders]
        for lane in nodes[stage].held:
            orders[lane].remove(stage)
        for lane in self.problem.lanes_at(place):
            later = (at for at, other in enumerate(orders[lane]) if self.start[other] > self.start[stage])
            orders[lane].insert(next(later, len(orders[lane])), stage)
        nodes[stage] = _node(self.problem, nodes[stage].tasks, place)
        return type(self)(self.problem, nodes, orders, self.stage_of, self.reads_of)

    def fits(self, stage: int, place: Place) -> bool:
        """Whether every task of the stage can run at the place."""
        node = self.nodes[stage]
        return node.place == place or isfinite(self.problem.seconds_at(place, node.tasks))

    def tasks_on(self, device: str) -> list[int]:
        """The tasks that the device holds."""
        device_at = self.problem.device_at
        return [task for node in self.nodes.values() if device_at(node.place) == device for task in node.tasks]

    def critical(self) -> list[int]:
        """The chain of stages that makes the makespan what it is, from its end to its beginning."""
        stage: int | None = max(self.nodes, key=lambda s: (self.finish[s] + self.nodes[s].answer, s), default=None)
        chain = []
        while stage is not None:
            chain.append(stage)
            stage = self.cause[stage]
        return chain

    def _time(self) -> float | None:
        """Times every stage; the makespan, or None where lanes wait for one another in a circle."""
        if self.problem.contended:
            return self._time_contended()
        finish = self.finish
        makespan = 0.0
        waiting = [iter(order) for order in self.orders]
        heads = [next(stages, None) for stages in waiting]
        last: list[int | None] = [None] * len(heads)
        advanced = True
        while advanced:
            advanced = False
            for lane in range(len(heads)):
                while (head := heads[lane]) is not None and self._time_one(head, heads, last, finish):
                    makespan = max(makespan, finish[head] + self.nodes[head].answer)
                    for held in self.nodes[head].held:
                        last[held], heads[held] = head, next(waiting[held], None)
                    advanced = True
        return makespan if len(finish) == len(self.nodes) else None

    def _time_contended(self) -> float | None:
        problem = self.problem
        jobs = {
            stage: contention.StageWork(
                node.held,
                problem.device_at(node.place),
                node.seconds,
                node.crowded,
                node.request,
                tuple((other, self.arrival(other, stage, nbytes)) for other, nbytes in self.reads_of[stage].items()),
            )
            for stage, node in self.nodes.items()
        }
        times = contention.run(jobs, self.orders, {name: len(problem.lanes_of(name)) for name in problem.devices})
        if times is None:
            return None
        self.start, self.finish, self.cause = times.start, times.finish, times.cause
        return max((end + self.nodes[stage].answer for stage, end in times.finish.items()), default=0.0)

    def arrival(self, producer: int, consumer: int, nbytes: int) -> float:
        """Seconds from one stage's end until another can use what it made."""
        source, target = self.nodes[producer].place.lane, self.nodes[consumer].place.lane
        if source == target:
            return 0.0
        lanes = self.problem.lanes
        return self.problem.arrival_seconds(lanes[source], lanes[target], nbytes)

    def _time_one(
        self, stage: int, heads: Sequence[int | None], last: Sequence[int | None], finish: dict[int, float]
    ) -> bool:
        """Times one stage; False where a lane has others to run first or something that it reads has no time yet."""
        node = self.nodes[stage]
        start, cause = node.request, None
        for held in node.held:
            if heads[held] != stage:
                return False
            before = last[held]
            if before is not None and finish[before] >= start:
                start, cause = finish[before], before
        for producer, nbytes in self.reads_of[stage].items():
            end = finish.get(producer)
            if end is None:
                return False
            end += self.arrival(producer, stage, nbytes)
            if end > start:
                start, cause = end, producer
        self.start[stage], self.cause[stage], finish[stage] = start, cause, start + node.seconds
        return True


def _node(problem: Problem, tasks: tuple[int, ...], place: Place) -> Node:
    device = problem.device_at(place)
    hop = problem.hop[device]
    seconds = hop + problem.seconds_at(place, tasks)
    if not isfinite(seconds):
        where = f"all lanes of {device}" if place.wide else device
        raise ScheduleError("possible placements", f"{where} cannot run one of the tasks {tasks}")
    return Node(
        tasks,
        place,
        problem.lanes_at(place),
        seconds,
        hop + problem.crowded_seconds_at(place, tasks) if device in problem.contended else seconds,
        problem.copy_seconds(HOST, device, sum([problem.host_in[task] for task in tasks])),
        problem.copy_seconds(device, HOST, sum([problem.host_out[task] for task in tasks])),
    )
