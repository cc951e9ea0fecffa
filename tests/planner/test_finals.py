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
    fast, near, far = (trial(name, *[seconds] * 8) for name, seconds in (("fast", 1.0), ("near", 1.1), ("far", 2.0)))
    assert raced(fast, near, far) == ["fast", "near"]


def test_a_simpler_plan_is_measured_again_until_it_is_beaten_for_certain() -> None:
    fast = trial("fast", *[1.0] * 8, stages=3)
    assert raced(fast, trial("simple", *[1.3] * 8)) == []
    assert raced(fast, trial("simple", *[1.3] * 3)) == ["fast", "simple"], "three rounds may be chance"
