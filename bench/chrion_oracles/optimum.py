"""The least makespan, as a constraint program that CP-SAT solves where `ortools` is installed.

The same problem as the planner's integer program: intervals that may not overlap on a lane in place of variables for
each pair's order, which proves several times as many schedules optimal. Deterministic: one worker, a fixed seed, and a
budget of the solver's own deterministic time.
"""

import pickle
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise
from math import floor, isfinite
from typing import Any

from chrion_api import HOST
from chrion_planner.partition.bound import heads, lower_bound, tails
from chrion_planner.partition.problem import Place, Problem, Schedule
from chrion_planner.partition.symmetry import alike, renamed
from chrion_planner.partition.task_times import timed

UNITS = 10_000_000
"""The makespan known beforehand in the program's unit of time. Times are rounded down to it, so that what the solver
proves is a bound on the problem, too."""

GAP = 1e-5
"""The part of the makespan within which a schedule counts as proven optimal: what rounding costs, and some more."""


def available() -> bool:
    """Whether CP-SAT is installed."""
    return find_spec("ortools") is not None


def optimum(problem: Problem, first: Schedule, work: float, seconds: float) -> Schedule:
    """The schedule of the least makespan, to one part in 100,000; optimal where that is proven.

    Never worse than `first`, which it starts from. `work` is in the solver's own deterministic seconds; `seconds` only
    aborts. The program does not know of weights that tasks share. Solved in a process of its own: CP-SAT brings a HiGHS
    that cannot be in one process with another. Raises CalledProcessError.
    """
    if first.optimal:
        return first
    done = subprocess.run(
        [sys.executable, "-c", "from chrion_oracles.optimum import main; main()"],
        input=pickle.dumps((problem, first, work, seconds)),
        stdout=subprocess.PIPE,
        check=True,
    )
    found: Schedule = pickle.loads(done.stdout)  # our own child wrote it
    return found


def solve(problem: Problem, first: Schedule, work: float, seconds: float) -> Schedule:
    """As `optimum`, in this process; with the bound that was proved."""
    from ortools.sat.python import cp_model

    program = _ConstraintProgram(problem, first)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    solver.parameters.max_deterministic_time = work
    solver.parameters.max_time_in_seconds = seconds
    status = solver.solve(program.model)
    best = first
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        found = program.schedule(solver)
        if found.makespan < first.makespan:
            best = found
    bound = max(lower_bound(problem), solver.best_objective_bound / program.scale)
    optimal = best.makespan <= bound * (1 + GAP)
    stopped = not optimal and solver.wall_time >= seconds
    return replace(best, bound=min(bound, best.makespan), optimal=optimal, truncated=stopped)


class _ConstraintProgram:
    """`on[task, place]` is decided, with the starts of all tasks."""

    def __init__(self, problem: Problem, first: Schedule) -> None:
        from ortools.sat.python import cp_model

        self.problem = problem
        self.scale = UNITS / first.makespan
        self.model: Any = cp_model.CpModel()
        self.tasks = range(len(problem.tasks))
        horizon = UNITS
        head = [self._units(seconds) for seconds in heads(problem)]
        tail = [self._units(seconds) for seconds in tails(problem)]
        model = self.model
        self.makespan = model.new_int_var(min(self._units(lower_bound(problem)), horizon), horizon, "makespan")
        model.minimize(self.makespan)
        self.start = [model.new_int_var(head[task], horizon, f"start{task}") for task in self.tasks]
        self.end = [model.new_int_var(0, horizon, f"end{task}") for task in self.tasks]
        self.on: list[dict[Place, Any]] = [
            {
                place: model.new_bool_var(f"on{task}_{place.lane}{'w' if place.wide else ''}")
                for place, times in problem.times.items()
                if isfinite(times[task])
            }
            for task in self.tasks
        ]
        self._devices: dict[tuple[int, str], Any] = {}
        self._lanes()
        for task in self.tasks:
            model.add_exactly_one(self.on[task].values())
            self._request_and_answer(task)
            model.add(self.makespan >= self.end[task] + tail[task])
            for producer, nbytes in problem.producers[task]:
                self._arrive(producer, task, nbytes)
        self._budgets()
        self._break_symmetry()
        self._hint(first)

    def _units(self, seconds: float) -> int:
        return floor(seconds * self.scale)

    def _lanes(self) -> None:
        """No two tasks at once on a lane; nor more of a device's lanes held than there are."""
        problem, model = self.problem, self.model
        on_lane: list[list[Any]] = [[] for _ in problem.lanes]
        on_device: dict[str, list[tuple[Any, int]]] = {device: [] for device in problem.devices}
        load: list[list[Any]] = [[] for _ in problem.lanes]
        for task in self.tasks:
            for place, chosen in self.on[task].items():
                units = self._units(problem.times[place][task])
                interval = model.new_optional_interval_var(
                    self.start[task], units, self.end[task], chosen, f"at{task}_{place.lane}"
                )
                held = problem.lanes_at(place)
                for lane in held:
                    on_lane[lane].append(interval)
                    load[lane].append(units * chosen)
                on_device[problem.device_at(place)].append((interval, len(held)))
        for lane, intervals in enumerate(on_lane):
            model.add_no_overlap(intervals)
            model.add(self.makespan >= sum(load[lane]))
        for device, pairs in on_device.items():
            if len(problem.lanes_of(device)) > 1:
                model.add_cumulative(
                    [interval for interval, _ in pairs], [held for _, held in pairs], len(problem.lanes_of(device))
                )

    def _request_and_answer(self, task: int) -> None:
        problem = self.problem
        for place, chosen in self.on[task].items():
            device = problem.device_at(place)
            request = self._units(problem.copy_seconds(HOST, device, problem.host_in[task]))
            answer = self._units(problem.copy_seconds(device, HOST, problem.host_out[task]))
            if request:
                self.model.add(self.start[task] >= request).only_enforce_if(chosen)
            if answer:
                self.model.add(self.makespan >= self.end[task] + answer).only_enforce_if(chosen)

    def _arrive(self, producer: int, consumer: int, nbytes: int) -> None:
        """The value is there when its producer has ended, and later where that was on another lane."""
        problem, model = self.problem, self.model
        model.add(self.start[consumer] >= self.end[producer])
        together = model.new_bool_var(f"together{producer}_{consumer}")
        lanes = sorted({place.lane for place in (*self.on[producer], *self.on[consumer])})
        leads = [[self._leads(task, lane) for task in (producer, consumer)] for lane in lanes]
        for a, b in leads:
            model.add(a == b).only_enforce_if(together)
            model.add(together >= a + b - 1)
        for source in {problem.device_at(place) for place in self.on[producer]}:
            for target in {problem.device_at(place) for place in self.on[consumer]}:
                delay = self._units(problem.handoff[target] + problem.copy_seconds(source, target, nbytes))
                if not delay:
                    continue
                where = [self._at(producer, source), self._at(consumer, target)]
                conditions = [literal for literal in where if literal is not None]
                if source == target:
                    conditions.append(together.negated())
                model.add(self.start[consumer] >= self.end[producer] + delay).only_enforce_if(conditions)

    def _leads(self, task: int, lane: int) -> Any:
        """Whether the task is at a place that the lane leads: a literal, or a sum of such."""
        chosen = [literal for place, literal in self.on[task].items() if place.lane == lane]
        return chosen[0] if len(chosen) == 1 else sum(chosen)

    def _at(self, task: int, device: str) -> Any | None:
        """A literal that says whether the task is on the device; None where it can be nowhere else."""
        names = [self.problem.device_at(place) for place in self.on[task]]
        chosen = [literal for place, literal in self.on[task].items() if self.problem.device_at(place) == device]
        if all(name == device for name in names):
            return None
        if len(chosen) == 1:
            return chosen[0]
        key = (task, device)
        if key not in self._devices:
            literal = self.model.new_bool_var(f"device{task}_{device}")
            self.model.add(sum(chosen) == literal)
            self._devices[key] = literal
        return self._devices[key]

    def _budgets(self) -> None:
        for device, limit in self.problem.budget.items():
            self.model.add(
                sum(
                    self.problem.bytes_taken(device, (task,)) * literal
                    for task in self.tasks
                    for place, literal in self.on[task].items()
                    if self.problem.device_at(place) == device
                )
                <= limit
            )

    def _break_symmetry(self) -> None:
        """A task may use a lane of a device only if a lower task uses the device's lane before it."""
        for device in self.problem.devices:
            for before, lane in pairwise(alike(self.problem, device)):
                for task in self.tasks:
                    if lane in self.on[task]:
                        lower = [self.on[other][before] for other in range(task) if before in self.on[other]]
                        self.model.add_bool_or(*lower, self.on[task][lane].negated())

    def _hint(self, first: Schedule) -> None:
        places = renamed(self.problem, first.places)
        for task in self.tasks:
            for place, literal in self.on[task].items():
                self.model.add_hint(literal, place == places[task])
            self.model.add_hint(self.start[task], self._units(first.start[task]))

    def schedule(self, solver: Any) -> Schedule:
        """The solution, with the solver's rounding taken out: its places and order, times computed again."""
        places = [next(place for place, on in self.on[task].items() if solver.value(on)) for task in self.tasks]
        order = sorted(
            self.tasks, key=lambda task: (solver.value(self.start[task]), solver.value(self.end[task]), task)
        )
        return timed(self.problem, order, places)


def main() -> None:
    """Solves what comes in and writes the schedule out."""
    pickle.dump(solve(*pickle.load(sys.stdin.buffer)), sys.stdout.buffer)  # our own parent wrote it
