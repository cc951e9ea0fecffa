"""The integer program behind `milp.py`: its variables, its constraints, and the schedule that a solution stands for."""

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import pairwise
from math import isfinite
from typing import Any

import pulp

from chrion_api import HOST
from chrion_planner.partition import solver as solvers
from chrion_planner.partition.bound import heads, lower_bound, tails
from chrion_planner.partition.problem import Place, Problem, Schedule
from chrion_planner.partition.symmetry import alike, renamed
from chrion_planner.partition.task_times import timed

HORIZON = 1000.0
"""The upper bound on the makespan in the program's unit of time, so that tolerances mean the same in every problem."""

BUDGET = 1e6
"""A memory budget in the program's unit of bytes, for the same reason."""


@dataclass
class MakespanProgram:
    """The program: `on[task, place]` and `before[task, task]` are decided, `start[task]` and the makespan follow."""

    problem: Problem
    pairs: list[tuple[int, int]]
    horizon: float
    lp: Any = field(init=False)
    on: dict[tuple[int, Place], Any] = field(init=False)
    start: list[Any] = field(init=False)
    before: dict[tuple[int, int], Any] = field(init=False, default_factory=dict)
    route: dict[tuple[int, int, Place, Place], Any] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        problem, scale = self.problem, HORIZON / self.horizon
        self.scale = scale
        self.head = [scale * seconds for seconds in heads(problem)]
        self.tail = [scale * seconds for seconds in tails(problem)]
        self.best = [scale * seconds for seconds in problem.best_seconds]
        self.tasks = range(len(problem.tasks))
        self.lanes = range(len(problem.lanes))
        self.lp = pulp.LpProblem("makespan", pulp.LpMinimize)
        self.makespan = self._variable("makespan", scale * lower_bound(problem), HORIZON)
        self.lp += self.makespan
        self.on = {
            (task, place): self._variable(f"on_{task}_{_name(place)}", 0, 1, pulp.LpInteger)
            for task in self.tasks
            for place, times in problem.times.items()
            if isfinite(times[task])
        }
        self.start = [self._variable(f"start_{task}", self.head[task], HORIZON) for task in self.tasks]
        self.length = [self._over_places(task, lambda task, at: problem.times[at][task]) for task in self.tasks]
        self._place()
        self._break_symmetry()
        self._keep_budgets()
        for producer, consumer in problem.tasks.edges:
            self._arrive(producer, consumer)
        for one, other in self.pairs:
            self._take_turns(one, other)

    def _variable(self, name: str, low: float, high: float, kind: str = pulp.LpContinuous) -> Any:
        return self.lp.add_variable(name, min(low, high), high, kind)  # scaling may round a bound past the other

    def _places_for(self, task: int) -> list[Place]:
        return [place for place in self.problem.times if (task, place) in self.on]

    def _over_places(self, task: int, seconds: Callable[[int, Place], float]) -> Any:
        """The scaled seconds at whichever place the task is."""
        return pulp.lpSum(self.scale * seconds(task, place) * self.on[task, place] for place in self._places_for(task))

    def _holds(self, task: int, lane: int) -> list[Any]:
        """The variables of which one is 1 where the task holds the lane."""
        return [self.on[task, place] for place in self._places_for(task) if lane in self.problem.lanes_at(place)]

    def _place(self) -> None:
        """Each task at one place, after its part of the request and before the makespan; no lane longer than that."""
        problem = self.problem
        for task in self.tasks:
            self.lp += pulp.lpSum(self.on[task, place] for place in self._places_for(task)) == 1
            if problem.host_in[task]:
                self.lp += self.start[task] >= self._over_places(
                    task, lambda task, at: problem.copy_seconds(HOST, problem.device_at(at), problem.host_in[task])
                )
            if problem.host_out[task]:
                answer = self._over_places(
                    task, lambda task, at: problem.copy_seconds(problem.device_at(at), HOST, problem.host_out[task])
                )
                self.lp += self.makespan >= self.start[task] + self.length[task] + answer
            self.lp += self.makespan >= self.start[task] + self.length[task] + self.tail[task]
        for lane in self.lanes:
            self.lp += self.makespan >= pulp.lpSum(
                self.scale * problem.times[place][task] * variable
                for (task, place), variable in self.on.items()
                if lane in problem.lanes_at(place)
            )

    def _break_symmetry(self) -> None:
        """A task may use a lane of a device only if a lower task uses the device's lane before it."""
        for device in self.problem.devices:
            for before, lane in pairwise(alike(self.problem, device)):
                for task in self.tasks:
                    if (task, lane) in self.on:
                        lower = (self.on[other, before] for other in range(task) if (other, before) in self.on)
                        self.lp += self.on[task, lane] <= pulp.lpSum(lower)

    def _keep_budgets(self) -> None:
        for device, limit in self.problem.budget.items():
            taken = [
                (BUDGET * self.problem.bytes_taken(device, (task,)) / max(limit, 1)) * variable
                for (task, place), variable in self.on.items()
                if self.problem.device_at(place) == device
            ]
            if taken:
                self.lp += pulp.lpSum(taken) <= (BUDGET if limit else 0)

    def _arrive(self, producer: int, consumer: int) -> None:
        """The consumer starts when the value has come by the route from the producer's place to its own.

        `route` is a flow from the one to the other, which is as tight as a linear program can say it, and whole
        where the places are.
        """
        problem, nbytes = self.problem, self.problem.tasks.edges[producer, consumer]["bytes"]
        sources, targets = self._places_for(producer), self._places_for(consumer)
        delays = {
            (a, b): self.scale * problem.arrival_seconds(problem.lanes[a.lane], problem.lanes[b.lane], nbytes)
            for a in sources
            for b in targets
        }
        arrival = self.start[producer] + self.length[producer]
        if any(delays.values()):
            flow = {
                (a, b): self._variable(f"route_{producer}_{consumer}_{_name(a)}_{_name(b)}", 0, 1)
                for a in sources
                for b in targets
            }
            for a in sources:
                self.lp += pulp.lpSum(flow[a, b] for b in targets) == self.on[producer, a]
            for b in targets:
                self.lp += pulp.lpSum(flow[a, b] for a in sources) == self.on[consumer, b]
            arrival += pulp.lpSum(delays[ends] * flow[ends] for ends in delays)
            self.route |= {(producer, consumer, *ends): variable for ends, variable in flow.items()}
        self.lp += self.start[consumer] >= arrival

    def _take_turns(self, one: int, other: int) -> None:
        """On one lane one of the two comes first; only orders that can end within the horizon are thought of."""
        shared = [lane for lane in self.lanes if self._holds(one, lane) and self._holds(other, lane)]
        if not shared:
            return
        orders = []
        for i, j in ((one, other), (other, one)):
            if self.head[i] + self.best[i] + self.best[j] + self.tail[j] <= HORIZON * (1 + solvers.GAP):
                self.before[i, j] = self._variable(f"before_{i}_{j}", 0, 1, pulp.LpInteger)
                slack = max(HORIZON - self.tail[i] - self.head[j], 0.0)
                self.lp += self.start[j] >= self.start[i] + self.length[i] - slack * (1 - self.before[i, j])
                orders.append(self.before[i, j])
        if len(orders) == 2:
            self.lp += pulp.lpSum(orders) <= 1
        for lane in shared:
            self.lp += pulp.lpSum(orders) >= pulp.lpSum(self._holds(one, lane) + self._holds(other, lane)) - 1

    def start_from(self, schedule: Schedule) -> None:
        """Gives the variables the values of a schedule, its lanes renamed as the symmetry breaking wants them."""
        places = renamed(self.problem, schedule.places)
        held = [set(self.problem.lanes_at(place)) for place in places]
        self.makespan.setInitialValue(HORIZON)
        for (task, at), variable in self.on.items():
            variable.setInitialValue(int(places[task] == at))
        for task, variable in enumerate(self.start):
            start = self.scale * schedule.start[task]
            variable.setInitialValue(min(max(start, variable.lowBound), variable.upBound))  # it may be rounded past one
        for (i, j), variable in self.before.items():
            first = (schedule.start[i], schedule.finish[i], i) < (schedule.start[j], schedule.finish[j], j)
            variable.setInitialValue(int(first and not held[i].isdisjoint(held[j])))
        for (producer, consumer, a, b), variable in self.route.items():
            variable.setInitialValue(int(places[producer] == a and places[consumer] == b))

    def seconds(self, value: float) -> float:
        """A makespan of the program's in seconds."""
        return value / self.scale

    def schedule(self) -> Schedule:
        """The solution, with the solver's rounding taken out: its places and order, times computed again."""
        places = [max(self._places_for(task), key=lambda at: self.on[task, at].value()) for task in self.tasks]
        waiting = {task: self.problem.tasks.in_degree(task) for task in self.tasks}
        ready = [(self.start[task].value(), task) for task in self.tasks if not waiting[task]]
        heapify(ready)
        order = []
        while ready:
            task = heappop(ready)[1]
            order.append(task)
            for consumer in self.problem.tasks.succ[task]:
                waiting[consumer] -= 1
                if not waiting[consumer]:
                    heappush(ready, (self.start[consumer].value(), consumer))
        return timed(self.problem, order, places)


def _name(place: Place) -> str:
    return f"{'wide' if place.wide else ''}{place.lane}"


def horizon(problem: Problem) -> float:
    """A makespan that any placement stays within: everything one after the other, each at its worst."""
    lanes = problem.lanes
    total = 0.0
    for task in problem.tasks:
        able = [device for device in problem.devices if problem.can_run(task, device)]
        total += max(times[task] for times in problem.times.values() if isfinite(times[task]))
        total += max(problem.copy_seconds(HOST, device, problem.host_in[task]) for device in able)
        total += max(problem.copy_seconds(device, HOST, problem.host_out[task]) for device in able)
    for edge in problem.tasks.edges:
        nbytes = problem.tasks.edges[edge]["bytes"]
        total += max((problem.arrival_seconds(a, b, nbytes) for a in lanes for b in lanes), default=0.0)
    return total
