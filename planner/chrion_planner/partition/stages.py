"""Stage grouping: from a schedule of tasks to the stages that really run, judged by the simulator."""

from itertools import pairwise

from chrion_planner.partition.join_stages import joined
from chrion_planner.partition.problem import Budget, Problem, Schedule, StagePlan
from chrion_planner.partition.simulate import Simulation, StageDag
from chrion_planner.partition.task_times import timed

GAIN = 1e-9
"""The part of the makespan by which a change must improve it to count, so that rounding never does."""


def first_stages(problem: Problem, schedule: Schedule) -> Simulation:
    """The schedule's tasks in its longest runs or each alone, whichever ends first; joined where that costs nothing."""
    return _run(joined(_begun(problem, schedule)))


def _begun(problem: Problem, schedule: Schedule) -> StageDag:
    dag = StageDag.of(problem, cut(problem, schedule))
    # Where lanes slow each other each alone takes longer than this, but never less.
    if timed(problem, in_order(schedule), schedule.places, hops=True).makespan < _makespan(dag):
        dag = min(dag, StageDag.of(problem, alone(schedule)), key=_makespan)
    return dag


def improve(problem: Problem, simulation: Simulation, work: int = Budget.stage_work) -> tuple[Simulation, int]:
    """The stages merged and moved while that helps, and how many stages were timed; `work` is the most.

    The makespan is never above that before, but may be above the schedule's, which knows of no hops, and above that of
    one stage on one lane: the caller compares.
    """
    search = _Climber(StageDag.of(problem, simulation.stages), work)
    search.improve()
    return _run(search.dag), work - search.work


def cut(problem: Problem, schedule: Schedule) -> list[StagePlan]:
    """The longest runs at each place that nothing enters but at their first task and nothing leaves but at their last.

    What comes from or goes to a place that shares a lane does not count: the lane's order keeps it in its turn. So the
    stages are acyclic: a circle of stages would enter each at its first task and leave it at its last, and could
    follow the lanes' own order in between. It would be a circle of tasks, each starting after the one before, which a
    schedule cannot have.
    """
    places = schedule.places
    lanes_at = {place: frozenset(problem.lanes_at(place)) for place in problem.times}
    held = [lanes_at[place] for place in places]
    runs: list[list[int]] = []
    open_runs: list[list[int] | None] = [None] * len(problem.lanes)
    for task in in_order(schedule):
        run = open_runs[places[task].lane]
        enters = any(held[task].isdisjoint(held[producer]) for producer, _ in problem.producers[task])
        if (
            run is None
            or enters
            or problem.weight_group_of(task) is not None
            or places[run[0]] != places[task]
            or any(open_runs[at] is not run for at in held[task])
        ):
            run = []
            runs.append(run)
        run.append(task)
        leaves = problem.weight_group_of(task) is not None or any(
            held[task].isdisjoint(held[consumer]) for consumer, _ in problem.consumers[task]
        )
        for at in held[task]:
            open_runs[at] = None if leaves else run
    return [StagePlan(tuple(sorted(run)), places[run[0]].lane, wide=places[run[0]].wide) for run in runs]


def alone(schedule: Schedule) -> list[StagePlan]:
    """Each task a stage, in the schedule's order."""
    places = schedule.places
    return [StagePlan((task,), places[task].lane, wide=places[task].wide) for task in in_order(schedule)]


def in_order(schedule: Schedule) -> list[int]:
    """The tasks in the order of their starts, a topological order."""
    # Of those that begin and end together, having no time, the lower number comes first.
    return sorted(range(len(schedule.lane)), key=lambda task: (schedule.start[task], schedule.finish[task], task))


def _makespan(dag: StageDag) -> float:
    assert dag.makespan is not None  # what comes from a schedule is acyclic and no circle is ever accepted
    return dag.makespan


def _run(dag: StageDag) -> Simulation:
    simulation = dag.run()
    assert simulation is not None
    return simulation


class _Climber:
    """Hill climbing over DAGs of stages; the same one always leads to the same end."""

    def __init__(self, dag: StageDag, work: int) -> None:
        self.dag = dag
        self.work = work

    def improve(self) -> None:
        """Changes the critical chain while that shortens it, then merges what can be merged for nothing."""
        while self.work > 0:
            before = _makespan(self.dag), len(self.dag.nodes)
            while self._shorten_chain():
                pass
            self._merge_neighbours()
            if before == (_makespan(self.dag), len(self.dag.nodes)):
                return

    def _try(self, trial: StageDag, gain: float) -> bool:
        """Keeps the trial where its makespan is at most the present one less `gain` parts of it."""
        self.work -= len(trial.nodes)
        if trial.makespan is None or trial.makespan > _makespan(self.dag) * (1 - gain):
            return False
        self.dag = trial
        return True

    def _shorten_chain(self) -> bool:
        """One pass over the critical chain; whether anything was gained."""
        gained = False
        for stage in self.dag.critical():
            if self.work <= 0:
                return False
            if stage in self.dag.nodes:
                gained |= self._merge_around(stage) or self._move(stage)
        return gained

    def _merge_around(self, stage: int) -> bool:
        dag = self.dag
        pairs = []
        for lane in dag.nodes[stage].held:
            order = dag.orders[lane]
            at = order.index(stage)
            pairs += [*pairwise(order[at : at + 2]), *pairwise(order[max(at - 1, 0) : at + 1])]
        return any(self._merge(first, second, GAIN) for first, second in pairs)

    def _merge(self, first: int, second: int, gain: float) -> bool:
        """Tries two neighbours of a lane as one stage, wherever one of them is; whether that was kept."""
        dag = self.dag
        one, other = dag.nodes[first], dag.nodes[second]
        if self._shares_weights(first) or self._shares_weights(second):
            return False
        ways = [(first, second)]
        if one.place.wide or other.place.wide:  # then others may have to come before, or after, or both places differ
            ways.append((second, first))
        return any(
            self._try(dag.merged(into, merged), gain)
            for into, merged in ways
            if dag.fits(merged, dag.nodes[into].place)
        )

    def _shares_weights(self, stage: int) -> bool:
        return any(self.dag.problem.weight_group_of(task) is not None for task in self.dag.nodes[stage].tasks)

    def _move(self, stage: int) -> bool:
        node, problem = self.dag.nodes[stage], self.dag.problem
        if self._shares_weights(stage):
            return False
        home = problem.device_at(node.place)
        for place in problem.times:
            device = problem.device_at(place)
            if place == node.place or not self.dag.fits(stage, place):
                continue
            if device != home and not problem.within_budget(device, (*self.dag.tasks_on(device), *node.tasks)):
                continue
            if self._try(self.dag.moved(stage, place), GAIN):
                return True
        return False

    def _merge_neighbours(self) -> None:
        """Merges neighbours of a lane wherever the makespan does not grow: fewer sessions for the same time."""
        for lane in range(len(self.dag.orders)):
            at = 0
            while at + 1 < len(self.dag.orders[lane]) and self.work > 0:
                first, second = self.dag.orders[lane][at : at + 2]
                if not self._merge(first, second, 0.0):
                    at += 1
