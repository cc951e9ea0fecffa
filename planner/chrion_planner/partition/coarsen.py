"""Coarsening: fewer, larger tasks, so that the algorithms see what matters and end in time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite
from operator import add

import networkx as nx

from chrion_planner.partition.bound import heads
from chrion_planner.partition.problem import Place, Problem, StagePlan
from chrion_planner.partition.simulate import reads

GRAIN = 16
"""Merged tasks take at most this part of a device's memory budget, so that a part of them can still go there."""

PASSES = 8
"""Passes over all tasks to absorb cheap ones; in practice three or four find all there is."""

WORTH = 0.5
"""All lanes are the best place for a task where they save this part of what they would save were they used in full."""


@dataclass(frozen=True)
class Coarse:
    """A smaller problem, and for each of its tasks the tasks of the original that it stands for."""

    problem: Problem
    members: tuple[tuple[int, ...], ...]

    def expand(self, stages: Sequence[StagePlan]) -> list[StagePlan]:
        """Stages of the small problem as stages of the original, times left as they were."""
        return [
            replace(stage, tasks=tuple(sorted(member for task in stage.tasks for member in self.members[task])))
            for stage in stages
        ]


def coarsen(problem: Problem, cheap_seconds: float = 0.0) -> Coarse:
    """Merges chains, and absorbs tasks cheaper than `cheap_seconds` into a neighbour.

    A chain is a task and its only consumer that reads from nothing else, both best at the same place: a device's
    single lanes, or all its lanes at once. Absorbing may make others wait, for each merged task at most
    `cheap_seconds` in all; the cost of a hand-off is a good value. Only tasks that may run on the same devices are
    merged, and none that is best wide with one that cannot be. Seconds, wide ones too, memory and host bytes add up;
    so do bytes from several producers, while a value that several merged tasks read counts once.
    """
    groups = _Groups(problem)
    groups.merge_chains()
    if cheap_seconds > 0:
        for _ in range(PASSES):
            if not groups.absorb(cheap_seconds):
                break
            groups.merge_chains()
    return _contract(problem, groups.members_in_order())


class _Groups:
    """Tasks in groups, each named by one of them.

    `label` numbers the groups so that every edge leads from a lower to a higher label. Merging a group into the
    producer with the highest label, or into the consumer with the lowest, keeps that true with the label of the one
    it is merged into; so the groups never form a circle.
    """

    def __init__(self, problem: Problem) -> None:
        tasks = range(len(problem.tasks))
        head = heads(problem)
        self.problem = problem
        self.members = {task: [task] for task in tasks}
        self.pred = [{producer for producer, _ in read} for read in problem.producers]
        self.succ = [{consumer for consumer, _ in read} for read in problem.consumers]
        self.label = {task: at for at, task in enumerate(sorted(tasks, key=lambda task: (head[task], task)))}
        self.able = {task: tuple(problem.can_run(task, device) for device in problem.devices) for task in tasks}
        times = [problem.times[place] for place in problem.kinds]
        self.cost = [tuple([seconds[task] for seconds in times]) for task in tasks]
        """For each group its seconds at each of `problem.kinds`."""
        self.least = list(problem.best_seconds)
        """For each group the least of them."""
        self.bytes = {task: [problem.bytes_taken(device, (task,)) for device in problem.devices] for task in tasks}
        self.sharing = {task for task in tasks if problem.weight_group_of(task) is not None}
        self.lost = [0.0] * len(tasks)
        self.start = head

    def members_in_order(self) -> list[list[int]]:
        return [sorted(self.members[group]) for group in sorted(self.members, key=self.label.__getitem__)]

    def merge_chains(self) -> None:
        for group in self._ordered():
            if len(self.pred[group]) == 1:
                (producer,) = self.pred[group]
                same = self._best(producer) == self._best(group)
                if len(self.succ[producer]) == 1 and same and self._mergeable(producer, group):
                    self._merge(group, into=producer)

    def absorb(self, cheap_seconds: float) -> bool:
        """One pass over all groups; whether any was merged."""
        merged = False
        for group in self._ordered():
            if self.least[group] >= cheap_seconds:
                continue
            options = []
            if self.pred[group]:
                producer = max(self.pred[group], key=self.label.__getitem__)
                options.append((self._loss_before(group, producer), producer))
            if self.succ[group]:
                consumer = min(self.succ[group], key=self.label.__getitem__)
                options.append((self._loss_after(group, consumer), consumer))
            for loss, other in sorted(options):
                lost = loss + self.lost[group] + self.lost[other]
                if lost <= cheap_seconds and self._mergeable(group, other):
                    self._merge(group, into=other)
                    self.lost[other] = lost
                    merged = True
                    break
        return merged

    def _ordered(self) -> list[int]:
        return sorted(self.members, key=self.label.__getitem__)

    def _best(self, group: int) -> int:
        """The number of the kind of place that is best for the group."""
        cost, kinds = self.cost[group], self.problem.kinds

        def seconds(at: int) -> float:
            if kinds[at].wide:
                one = cost[kinds.index(Place(kinds[at].lane))]
                most = one - one / len(self.problem.lanes_at(kinds[at]))
                return cost[at] if one - cost[at] >= WORTH * most > 0 else inf
            return cost[at]

        return min(range(len(cost)), key=seconds)

    def _finish(self, group: int) -> float:
        return self.start[group] + self.least[group]

    def _arrived(self, group: int, without: int) -> float:
        """When all that the group reads has ended, one of its producers left aside."""
        return max((self._finish(producer) for producer in self.pred[group] if producer != without), default=0.0)

    def _loss_before(self, group: int, producer: int) -> float:
        """Seconds that others wait longer when the group becomes the end of its producer."""
        arrived = self._arrived(group, without=producer)
        finish = max(self.start[producer], arrived) + self.least[producer]
        if len(self.succ[producer]) > 1:
            return finish + self.least[group] - self._finish(producer)
        return finish - max(self._finish(producer), arrived)

    def _loss_after(self, group: int, consumer: int) -> float:
        """Seconds that others wait longer when the group becomes the beginning of its consumer."""
        arrived = self._arrived(consumer, without=group)
        finish = max(self.start[group], arrived) + self.least[group]
        if len(self.succ[group]) > 1:
            return finish + self.least[consumer] - self._finish(group)
        return finish - max(self._finish(group), arrived)

    def _mergeable(self, one: int, other: int) -> bool:
        if self.able[one] != self.able[other] or self.sharing & {one, other}:
            return False
        if not (isfinite(self.cost[other][self._best(one)]) and isfinite(self.cost[one][self._best(other)])):
            return False
        sums = zip(self.problem.devices, self.bytes[one], self.bytes[other], strict=True)
        limits = self.problem.budget
        return all(a + b <= limits[device] / GRAIN for device, a, b in sums if device in limits and a and b)

    def _merge(self, group: int, into: int) -> None:
        self.members[into] += self.members.pop(group)
        self.cost[into] = tuple(map(add, self.cost[into], self.cost[group]))
        self.least[into] = min(self.cost[into])
        self.bytes[into] = [a + b for a, b in zip(self.bytes[into], self.bytes[group], strict=True)]
        for producer in self.pred[group]:
            self.succ[producer].discard(group)
            if producer != into:
                self.succ[producer].add(into)
                self.pred[into].add(producer)
        for consumer in self.succ[group]:
            self.pred[consumer].discard(group)
            if consumer != into:
                self.pred[consumer].add(into)
                self.succ[into].add(consumer)
        self.start[into] = max((self._finish(producer) for producer in self.pred[into]), default=0.0)


def _contract(problem: Problem, members: list[list[int]]) -> Coarse:
    group_of = {task: index for index, tasks in enumerate(members) for task in tasks}
    dag: nx.DiGraph[int] = nx.DiGraph()
    dag.add_nodes_from(range(len(members)))
    for index, tasks in enumerate(members):
        for producer, nbytes in sorted(reads(problem, tasks, group_of, index).items()):
            dag.add_edge(producer, index, bytes=nbytes)
    small = replace(
        problem,
        tasks=dag,
        seconds={
            device: [sum(problem.seconds[device][t] for t in tasks) for tasks in members] for device in problem.devices
        },
        weight_groups=[problem.weight_group_of(tasks[0]) for tasks in members] if problem.weight_groups else (),
        host_in=[sum(problem.host_in[t] for t in tasks) for tasks in members],
        host_out=[sum(problem.host_out[t] for t in tasks) for tasks in members],
        memory={
            device: [sum(values[t] for t in tasks) for tasks in members] for device, values in problem.memory.items()
        },
        wide={device: [sum(values[t] for t in tasks) for tasks in members] for device, values in problem.wide.items()},
        crowded={
            device: [sum(values[t] for t in tasks) for tasks in members] for device, values in problem.crowded.items()
        },
    )
    return Coarse(small, tuple(tuple(tasks) for tasks in members))
