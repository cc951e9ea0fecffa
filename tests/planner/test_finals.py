"""Who is measured again: plans near the fastest, and those that it does not beat for certain yet."""

from chrion_planner.measured_frontier import _finals
from chrion_planner.measuring import Trial
from chrion_planner.settings import PlanningSettings
from tests.planner.test_elimination import ANSWER, plan, result


def raced(*trials: Trial) -> list[str]:
    """The finalists of the first process."""
    asked: list[list[str]] = []

    def race(plans, number):
        asked.append([one.name for one in plans])
        return [result(1.0, 1.0, 1.0, 1.0) for _ in plans]

    _finals(trials, (), race, ANSWER, PlanningSettings())
    return asked[0] if asked else []


def trial(name: str, *rounds: float, stages: int = 1) -> Trial:
    made = Trial(plan(name, 1.0, stages=stages))
    made.add(result(*rounds), ANSWER)
    return made


def test_plans_near_the_fastest_are_measured_again() -> None:
    fast = trial("fast", *[1.0] * 8, stages=3)
    near, far = (trial(name, *[seconds] * 8) for name, seconds in (("near", 1.1), ("far", 2.0)))
    assert raced(fast, near, far) == ["fast", "near"]


def test_a_simpler_plan_is_measured_again_until_it_is_beaten_for_certain() -> None:
    fast = trial("fast", *[1.0] * 8, stages=3)
    assert raced(fast, trial("simple", *[1.3] * 8)) == []
    assert raced(fast, trial("simple", *[1.3] * 3)) == ["fast", "simple"], "three rounds may be chance"


def test_what_can_no_longer_be_kept_is_not_measured_again() -> None:
    simple = trial("simple", *[1.0] * 8)
    slower, faster = (trial(name, *[seconds] * 8, stages=3) for name, seconds in (("slower", 1.01), ("faster", 0.97)))
    assert raced(simple, slower, faster) == ["simple", "faster"], "a loss in one process is never made up for"


def test_a_plan_that_another_beats_in_two_processes_leaves() -> None:
    asked: list[list[str]] = []
    seconds = {"fast": 1.0, "same": 1.0, "simple": 1.11}

    def race(plans, number):
        asked.append([one.name for one in plans])
        return [result(*[seconds[one.name]] * 6) for one in plans]

    trials = [trial(name, *[each] * 3, stages=1 if name == "simple" else 3) for name, each in seconds.items()]
    _finals(trials, (), race, ANSWER, PlanningSettings())
    assert asked == [["fast", "same", "simple"]], "of what is left none is plainer"
