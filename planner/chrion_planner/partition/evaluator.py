"""What local search asks of every change: the makespan of an order and places, and whether they keep the budgets."""

from collections.abc import Sequence
from math import inf, isfinite

from chrion_planner.partition.cost_tables import CostTables
from chrion_planner.partition.problem import Problem, Schedule
from chrion_planner.partition.task_times import timed

ENDED = -1
"""The cause of a task that waits for nothing but the request."""


class Evaluator(CostTables):
    """The makespan of an order and places, from tables made once: what `timed` says, without building a schedule.

    Places are numbers here, indices into `places`.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.places = list(problem.times)
        self.held = [problem.lanes_at(place) for place in self.places]
        self.lead = [place.lane for place in self.places]
        self.device = [self.device_of_lane[lane] for lane in self.lead]
        self.seconds = [list(times) for times in problem.times.values()]
        self.able = [
            [place for place, times in enumerate(self.seconds) if isfinite(times[task])]
            for task in range(len(problem.tasks))
        ]
        self.start = [0.0] * len(problem.tasks)
        self.finish = [0.0] * len(problem.tasks)
        self.cause = [ENDED] * len(problem.tasks)
        self.last = ENDED

    def makespan(self, order: Sequence[int], placed: Sequence[int], limit: float = inf) -> float:
        """When the answer is there, in seconds; inf as soon as that is known to be above the limit.

        `start`, `finish`, `cause` (the task that each one waited for last) and `last` (the one that ends last) say
        the rest, where the makespan is finite.
        """
        start, finish, cause, device, lead = self.start, self.finish, self.cause, self.device, self.lead
        free = [0.0] * len(self.problem.lanes)
        before = [ENDED] * len(free)
        most = 0.0
        self.last = ENDED
        for task in order:
            place = placed[task]
            lane, target = lead[place], device[place]
            begin, why = self.request[target][task], ENDED
            for producer, delays in self.reads[task]:
                source = placed[producer]
                end = finish[producer]
                if lead[source] != lane:
                    end += delays[device[source]][target]
                if end > begin:
                    begin, why = end, producer
            held = self.held[place]
            for lane in held:
                if free[lane] >= begin and before[lane] != ENDED:
                    begin, why = free[lane], before[lane]
            end = begin + self.seconds[place][task]
            for lane in held:
                free[lane], before[lane] = end, task
            start[task], finish[task], cause[task] = begin, end, why
            end += self.answer[target][task]
            if end > most:
                if end > limit:
                    return inf
                most, self.last = end, task
        return most

    def justified(self, order: Sequence[int], placed: Sequence[int]) -> list[int]:
        """The order of the latest starts: every task as late as its lanes, its consumers and the makespan let it be.

        The tasks run in that order end no later than in the one given, which must be the order of their starts.
        """
        return sorted(order, key=self._latest(order, placed, [0.0] * len(self.problem.lanes)).__getitem__)

    def by_tails(self, placed: Sequence[int]) -> list[int]:
        """The tasks, the one with the longest way from its start to the end first, copies between places counted."""
        tasks = range(len(placed))
        return sorted(tasks, key=self._latest(tasks, placed, None).__getitem__)

    def _latest(self, order: Sequence[int], placed: Sequence[int], free: list[float] | None) -> list[float]:
        """For each task its latest start, the end of all being 0; `free`, where given, keeps lanes to the order."""
        device, lead = self.device, self.lead
        late = [0.0] * len(order)
        for task in reversed(order):
            place = placed[task]
            lane, source = lead[place], device[place]
            end = -self.answer[source][task]
            for consumer, delays in self.feeds[task]:
                target = placed[consumer]
                begin = late[consumer]
                if lead[target] != lane:
                    begin -= delays[source][device[target]]
                if begin < end:
                    end = begin
            seconds = self.seconds[place][task]
            if free is not None:
                held = self.held[place]
                for lane in held:
                    if free[lane] < end:
                        end = free[lane]
                for lane in held:
                    free[lane] = end - seconds
            late[task] = end - seconds
        return late

    def critical(self) -> list[int]:
        """The chain of tasks that makes the last makespan what it was, from its end to its beginning."""
        chain, task = [], self.last
        while task != ENDED:
            chain.append(task)
            task = self.cause[task]
        return chain

    def schedule(self, order: Sequence[int], placed: Sequence[int]) -> Schedule:
        """The schedule of the order and places."""
        return timed(self.problem, order, [self.places[place] for place in placed])


class Room:
    """The bytes that tasks take on devices with a budget, as they are placed."""

    def __init__(self, evaluator: Evaluator, placed: Sequence[int]) -> None:
        problem = evaluator.problem
        self.limits = [problem.budget.get(device) for device in problem.devices]
        self.bytes = [problem.memory.get(device) for device in problem.devices]
        self.device = evaluator.device
        self.taken = [0] * len(self.limits)
        for task, place in enumerate(placed):
            self.move((task,), None, place)

    def holds(self, tasks: Sequence[int], placed: Sequence[int], place: int) -> bool:
        """Whether the place's device has room for those of the tasks that are not on it."""
        device = self.device[place]
        limit, sizes = self.limits[device], self.bytes[device]
        if limit is None or sizes is None:
            return True
        more = sum(sizes[task] for task in tasks if self.device[placed[task]] != device)
        return self.taken[device] + more <= limit

    def move(self, tasks: Sequence[int], source: int | None, target: int) -> None:
        """Counts tasks that go from one place to another."""
        for place, sign in ((source, -1), (target, 1)):
            if place is not None and (sizes := self.bytes[self.device[place]]) is not None:
                self.taken[self.device[place]] += sign * sum(sizes[task] for task in tasks)
