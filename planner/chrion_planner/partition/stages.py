"""Stage grouping: from a schedule of tasks to the stages that really run, judged by the simulator."""

from chrion_planner.partition.problem import Problem, Schedule, StagePlan
from chrion_planner.partition.simulate import Simulation, StageGraph

WORK = 800_000
"""Stages that may be timed while one grouping is improved: it bounds the effort without asking a clock."""

GAIN = 1e-9
"""The part of the makespan by which a change must improve it to count, so that rounding never does."""


def group(problem: Problem, schedule: Schedule) -> Simulation:
    """The schedule's tasks as stages, improved by merging and moving them, in the order of their start.

    A schedule with everything on one lane becomes one stage. The makespan is never above that of `cut`, but may be
    above the schedule's, which knows of no hops, and above that of one stage on one lane: the caller compares.
    """
    search = _Search(StageGraph.of(problem, cut(problem, schedule)))
    search.improve()
    simulation = search.graph.run()
    assert simulation is not None  # the cut is acyclic and no circle is ever accepted
    return simulation


def cut(problem: Problem, schedule: Schedule) -> list[StagePlan]:
    """The longest runs of each lane that nothing enters but at their first task and nothing leaves but at their last.

    So the stages are acyclic: a circle of stages would enter each at its first task and leave it at its last, and
    could follow the lane's own order in between. It would be a circle of tasks, each starting after the one before,
    which a schedule cannot have.
    """
    stages = []
    for lane in range(len(problem.lanes)):
        mine = (task for task in range(len(schedule.lane)) if schedule.lane[task] == lane)
        run: list[int] = []
        for task in sorted(mine, key=lambda task: (schedule.start[task], schedule.finish[task], task)):
            if run and any(schedule.lane[producer] != lane for producer in problem.tasks.pred[task]):
                stages.append(StagePlan(tuple(run), lane))
                run = []
            run.append(task)
            if any(schedule.lane[consumer] != lane for consumer in problem.tasks.succ[task]):
                stages.append(StagePlan(tuple(run), lane))
                run = []
        if run:
            stages.append(StagePlan(tuple(run), lane))
    return [StagePlan(tuple(sorted(stage.tasks)), stage.lane) for stage in stages]


class _Search:
    """Hill climbing over stage graphs; the same graph always leads to the same end."""

    def __init__(self, graph: StageGraph) -> None:
        self.graph = graph
        self.work = WORK

    def improve(self) -> None:
        """Changes the critical chain while that shortens it, then merges what can be merged for nothing."""
        while self.work > 0:
            before = self._makespan(), len(self.graph.nodes)
            while self._shorten_chain():
                pass
            self._merge_neighbours()
            if before == (self._makespan(), len(self.graph.nodes)):
                return

    def _makespan(self) -> float:
        assert self.graph.makespan is not None
        return self.graph.makespan

    def _try(self, trial: StageGraph, gain: float) -> bool:
        """Keeps the trial where its makespan is at most the present one less `gain` parts of it."""
        self.work -= len(trial.nodes)
        if trial.makespan is None or trial.makespan > self._makespan() * (1 - gain):
            return False
        self.graph = trial
        return True

    def _shorten_chain(self) -> bool:
        """One pass over the critical chain; whether anything was gained."""
        gained = False
        for stage in self.graph.critical():
            if self.work <= 0:
                return False
            if stage in self.graph.nodes:
                gained |= self._merge_around(stage) or self._move(stage)
        return gained

    def _merge_around(self, stage: int) -> bool:
        order = self.graph.orders[self.graph.nodes[stage].lane]
        at = order.index(stage)
        pairs = [order[at : at + 2], order[max(at - 1, 0) : at + 1]]
        return any(self._try(self.graph.merged(*pair), GAIN) for pair in pairs if len(pair) == 2)

    def _move(self, stage: int) -> bool:
        node, problem = self.graph.nodes[stage], self.graph.problem
        home = problem.lanes[node.lane].device
        for lane, target in enumerate(problem.lanes):
            if lane == node.lane or not all(problem.can_run(task, target.device) for task in node.tasks):
                continue
            if target.device != home and not problem.within_budget(
                target.device, (*self.graph.tasks_on(target.device), *node.tasks)
            ):
                continue
            if self._try(self.graph.moved(stage, lane), GAIN):
                return True
        return False

    def _merge_neighbours(self) -> None:
        """Merges neighbours of a lane wherever the makespan does not grow: fewer sessions for the same time."""
        for lane in range(len(self.graph.orders)):
            at = 0
            while at + 1 < len(self.graph.orders[lane]) and self.work > 0:
                first, second = self.graph.orders[lane][at : at + 2]
                if not self._try(self.graph.merged(first, second), 0.0):
                    at += 1
