"""Local search over whole schedules, from several starts: tasks move, change places and take turns.

Simulated annealing (Kirkpatrick, Gelatt, Vecchi: Optimization by simulated annealing, Science 220, 1983) in many short
runs. Most changes begin at the critical chain, as in the neighbourhoods for job shops (Nowicki, Smutnicki: A fast taboo
search algorithm for the job shop problem, Management Science 42(6), 1996): nothing else can shorten the schedule.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from math import inf, log

from chrion_planner.partition.bound import lower_bound
from chrion_planner.partition.evaluator import Evaluator, Room
from chrion_planner.partition.problem import Budget, Problem, Schedule
from chrion_planner.partition.roles import Improver

JUSTIFY = 0.1
"""The part of changes that put all tasks in the order in which they must start at the latest."""

PLACES = 0.35
"""The part of a run that is spent on places alone."""

ORDER = 0.4
"""The part of changes that leave all places as they are."""

RUN = 75_000
"""Tasks timed in one run, where there is work for that many."""

EACH = 120_000
"""Times that each task may be timed; more finds nothing where tasks are few."""

LEAST = 50
"""Times of the whole schedule in one run, at least."""

MOST = 3_000
"""Tasks above which so few changes find nothing."""

HOT = (0.03, 0.01)
"""Temperatures that runs begin at, in turn, as parts of the first makespan: what one misses the other may find."""

COLD = 0.001
"""The temperature at the end."""

ANYWHERE = 0.05
"""The part of changes that begin anywhere and not at the critical chain."""

FOLLOWING, ALIKE = 0.3, 0.1
"""The parts of moves that take with a task some that follow it on its lane, and those that cost the same everywhere."""

NEAR = 1e-7
"""A makespan this near to the lower bound, as a part of it, ends the search."""

PATIENCE = 6
"""Runs one after another without a gain that end the search."""

GAIN = 1e-3
"""The part of the makespan that a run must gain for the search to be patient with more of them."""


def takes(problem: Problem) -> bool:
    """Whether a problem of this size leaves room to search, whatever the budget."""
    return len(problem.tasks) <= MOST


def search(problem: Problem, budget: Budget, first: Sequence[Schedule]) -> Schedule | None:
    """The best of the schedules and of what local search makes of them; None where there is none.

    Every other run begins at the best so far. `budget.search_work` is the number of tasks timed, over all runs: it
    bounds the effort without asking a clock; PATIENCE ends it sooner. Marked optimal where it reaches the lower bound,
    which may be one that a schedule of `first` comes with.
    """
    if not first:
        return None
    bound = max(lower_bound(problem), *(one.bound for one in first)) * (1 + NEAR)
    distinct = list({(one.places, one.start): one for one in sorted(first, key=lambda one: one.makespan)}.values())
    best = distinct[0]
    tasks = max(len(problem.tasks), 1)
    work = min(budget.search_work, EACH * tasks)
    steps = min(work, max(RUN, LEAST * tasks)) // tasks
    idle = 0
    for run in range(work // (steps * tasks) if steps >= LEAST else 0):
        if best.makespan <= bound or idle == PATIENCE:
            break
        begin = best if run % 2 else distinct[run // 2 % len(distinct)]
        found = _Annealing(problem, begin, bound, seed=run).run(steps)
        idle = 0 if found.makespan < best.makespan * (1 - GAIN) else idle + 1
        if found.makespan < best.makespan:
            best = found
    return replace(best, optimal=True) if best.makespan <= bound else best


SEARCH = Improver("search", search, takes)


class _Annealing:
    """Annealing from one schedule; the same schedule always leads to the same end."""

    def __init__(self, problem: Problem, first: Schedule, bound: float, seed: int) -> None:
        self.problem, self.bound = problem, bound
        self.evaluator = Evaluator(problem)
        number = {place: index for index, place in enumerate(self.evaluator.places)}
        self.placed = [number[place] for place in first.places]
        # Ties in start are settled by number, which is a topological order.
        self.order = sorted(range(len(problem.tasks)), key=lambda task: (first.start[task], first.finish[task], task))
        self.order = _topological(problem, self.order)
        self.room = Room(self.evaluator, self.placed)
        self.sharing: dict[int, list[int]] = {}
        for task in range(len(problem.tasks)):
            group = problem.weight_group_of(task)
            if group is not None:
                self.sharing.setdefault(group, []).append(task)
        like: dict[object, list[int]] = {}
        for task in range(len(problem.tasks)):
            if problem.weight_group_of(task) is None:
                like.setdefault(tuple(times[task] for times in problem.times.values()), []).append(task)
        self.alike = {task: group for group in like.values() for task in group}
        self.hot = HOT[seed // 2 % len(HOT)]
        self.choose = random.Random(seed)  # noqa: S311 - not a secret

    def run(self, steps: int) -> Schedule:
        """The best schedule that so many times of the whole schedule find, a third of them spent on places alone."""
        evaluator = self.evaluator
        self.current = self.best = evaluator.makespan(self.order, self.placed)
        self.best_order, self.best_placed = self.order, self.placed
        self.critical = evaluator.critical()
        hot = self.hot * self.current
        for step in range(int(steps * PLACES) // 3):
            if self.best <= self.bound:
                break
            self._place(self._limit(hot, 3 * step / (PLACES * steps)))
        if self.current > self.best:
            self.order, self.placed = self.best_order, self.best_placed
            self.current = evaluator.makespan(self.order, self.placed)
            self.critical = evaluator.critical()
            self.room = Room(evaluator, self.placed)
        left = steps - int(steps * PLACES)
        for step in range(left):
            if self.best <= self.bound:
                break
            change = self._change(self.critical)
            if change is not None:
                order, tasks, place = change
                placed = self._moved(tasks, place)
                makespan = evaluator.makespan(order, placed, self._limit(hot, step / left))
                if makespan < inf:
                    self._accept(order, placed, makespan)
        return evaluator.schedule(self.best_order, self.best_placed)

    def _limit(self, hot: float, progress: float) -> float:
        """The makespan up to which a change is accepted."""
        temperature = hot * (COLD / self.hot) ** progress
        below: float = temperature * log(self.choose.random() + 1e-300)
        return self.current - below

    def _moved(self, tasks: Sequence[int], place: int) -> list[int]:
        if place == self.placed[tasks[0]]:
            return self.placed
        placed = list(self.placed)
        for task in tasks:
            placed[task] = place
        return placed

    def _accept(self, order: Sequence[int], placed: list[int], makespan: float) -> None:
        if placed is not self.placed:
            for task, (before, after) in enumerate(zip(self.placed, placed, strict=True)):
                if before != after:
                    self.room.move((task,), before, after)
        # In the order of their starts, tasks that are neighbours in it are neighbours in time.
        self.order = sorted(order, key=self.evaluator.start.__getitem__)
        self.placed, self.current = placed, makespan
        self.critical = self.evaluator.critical()
        if makespan < self.best:
            self.best, self.best_order, self.best_placed = makespan, self.order, self.placed

    def _place(self, limit: float) -> None:
        """Tries other places for some tasks, all in the order that these suggest: longest way to the end first."""
        tasks, place = self._moves(self._draw(self.critical))
        if not tasks:
            return
        placed = self._moved(tasks, place)
        order = self.evaluator.by_tails(placed)
        if self.evaluator.makespan(order, placed) == inf:
            return
        order = self.evaluator.justified(sorted(order, key=self.evaluator.start.__getitem__), placed)
        makespan = self.evaluator.makespan(order, placed, limit)
        if makespan < inf:
            self._accept(order, placed, makespan)

    def _draw(self, critical: Sequence[int]) -> int:
        if self.choose.random() < ANYWHERE:
            return int(self.choose.random() * len(self.order))
        return critical[int(self.choose.random() * len(critical))]

    def _moves(self, task: int) -> tuple[list[int], int]:
        """The task, perhaps with others, and another place for them; no tasks where it cannot be done."""
        choose, evaluator = self.choose, self.evaluator
        group = self.problem.weight_group_of(task)
        tasks = [task] if group is None else self.sharing[group]
        if group is None:
            draw = choose.random()
            if draw < ALIKE:
                tasks = self._alike(task)
            elif draw < ALIKE + FOLLOWING:
                tasks = self._run(task)
        place = evaluator.able[task][int(choose.random() * len(evaluator.able[task]))]
        if place == self.placed[task]:
            return [], place
        possible = all(place in evaluator.able[one] for one in tasks) and self.room.holds(tasks, self.placed, place)
        return (tasks if possible else []), place

    def _change(self, critical: Sequence[int]) -> tuple[list[int], list[int], int] | None:
        """An order, tasks that move and the place they move to; None where what was drawn cannot be done."""
        choose, evaluator = self.choose, self.evaluator
        if choose.random() < JUSTIFY:
            return evaluator.justified(self.order, self.placed), [self.order[0]], self.placed[self.order[0]]
        task = self._draw(critical)
        if choose.random() < ORDER:
            tasks, place = [task], self.placed[task]
        else:
            tasks, place = self._moves(task)
        if len(tasks) != 1:
            return (self.order, tasks, place) if tasks else None
        return self._reordered(task), tasks, place

    def _alike(self, task: int) -> list[int]:
        """The task and those like it, as the cells of one layer are, from it on or up to it or all of them."""
        group = self.alike[task]
        at = group.index(task)
        draw = self.choose.random()
        low = at if draw < 1 / 3 else 0
        high = at + 1 if 1 / 3 <= draw < 2 / 3 else len(group)
        return [task, *(other for other in group[low:high] if other != task)]

    def _run(self, task: int) -> list[int]:
        """The task and some of those that its lane runs after it, as far as each one waits for the one before."""
        run = [task]
        while self.choose.random() < 0.7:
            place = self.placed[task]
            following = [
                other
                for other, _ in self.problem.consumers[run[-1]]
                if self.placed[other] == place and self.problem.weight_group_of(other) is None
            ]
            if not following:
                break
            run.append(min(following, key=self.order.index))
        return run

    def _reordered(self, task: int) -> list[int]:
        """The order with the task somewhere else between what it reads from and what reads from it."""
        order = self.order
        at = order.index(task)
        producers = {producer for producer, _ in self.problem.producers[task]}
        consumers = {consumer for consumer, _ in self.problem.consumers[task]}
        low, high = at, at
        while low and order[low - 1] not in producers:
            low -= 1
        while high + 1 < len(order) and order[high + 1] not in consumers:
            high += 1
        to = low + int(self.choose.random() * (high - low + 1))
        changed = order[:at] + order[at + 1 :]
        changed.insert(to, task)
        return changed


def _topological(problem: Problem, order: Sequence[int]) -> list[int]:
    """The order, with each task that takes no time moved behind those that it reads from."""
    result: list[int] = []
    done = [False] * len(order)
    for task in order:
        stack = [task]
        while stack:
            top = stack[-1]
            missing = [producer for producer, _ in problem.producers[top] if not done[producer]]
            if missing:
                stack += missing
                continue
            stack.pop()
            if not done[top]:
                done[top] = True
                result.append(top)
    return result
