"""Stages with graph optimisation or without, whichever is faster."""

from math import inf

import pytest

from chrion_api import GpuBytes, Latency, Optimization, Plan, Stage
from chrion_graph.limits import Limits
from chrion_planner import measured_frontier
from chrion_planner.measuring import PlanContender, Result, SessionContender, Trial, contest, faster
from chrion_planner.partition import Budget
from chrion_planner.planner import measured_plans
from chrion_planner.settings import PlanningSettings
from chrion_planner.tuning import TwinElimination, settle, tune, tuned

LIMITS = Limits(seconds=60)
ALL, NONE = Optimization.ALL, Optimization.NONE


def plan(*operators: str, level: Optimization = ALL) -> Plan:
    """A measured plan whose stages have these operators, named with commas between."""
    stages, first = [], 0
    for names in operators:
        kinds = names.split(",")
        stages.append(
            Stage(
                nodes=tuple(range(first, first + len(kinds))),
                lanes=("cpu/0",),
                optimization=level,
                operators={kind: kinds.count(kind) for kind in kinds},
            )
        )
        first += len(kinds)
    measured = Latency(p50=1, p90=1, p99=1, repetitions=1)
    return Plan(name="heft", graph="g", stages=tuple(stages), predicted_seconds=0.5, measured=measured)


def result(*stages: float, sessions: tuple[int, ...] = (), rounds: int = 3) -> Result:
    """What came of a plan whose stages took the same seconds in every round."""
    return Result("heft", stages=[list(stages)] * rounds, sessions=sessions or tuple(range(len(stages))))


def levels(plan: Plan | None) -> list[Optimization] | None:
    return [Optimization(stage.options.get("optimization", "None")) for stage in plan.stages] if plan else None


def tuned_plain(original: Plan, optimised: Result, plain: Result) -> Plan | None:
    """The plan tuned by what came of its twin without optimisation."""
    twin = original.model_copy(
        update={"stages": tuple(stage.with_options(optimization="") for stage in original.stages)}
    )
    return tuned(original, optimised, [(twin, plain)])


def test_each_stage_is_as_it_is_faster():
    original = plan("GRU,Add", "MatMul,Add", "GRU,Relu")
    found = tuned_plain(original, result(1.0, 1.0, 1.0), result(0.9, 1.2, 0.97))
    assert levels(found) == [NONE, ALL, ALL], "three percent are noise"
    assert (found.name, found.predicted_seconds, found.measured) == ("heft-tuned", 0.5, None)
    assert tuned_plain(original, result(1.0, 1.0, 1.0), result(1.0, 1.2, 0.97)) is None


def test_one_odd_round_decides_nothing():
    odd = result(1.0, 1.0)
    odd.stages = [[1.0, 1.0], [0.2, 1.0], [1.1, 1.0]]
    assert tuned_plain(plan("GRU,Add", "GRU,Relu"), result(1.0, 1.0), odd) is None


def test_stages_that_share_a_session_are_decided_on_together():
    original = plan("GRU,Add", "GRU,Add", "GRU,Add")
    shared = (0, 1, 0)
    assert levels(
        tuned_plain(original, result(1.0, 1.0, 4.0, sessions=shared), result(1.1, 1.0, 3.0, sessions=shared))
    ) == [
        NONE,
        ALL,
        NONE,
    ]
    assert tuned_plain(original, result(1.0, 1.0, 4.0, sessions=shared), result(0.5, 1.0, 4.4, sessions=shared)) is None


@pytest.mark.parametrize(
    ("original", "raced"),
    [
        (plan("GRU,Add", "GRU"), True),
        (plan("GRU", "Conv"), True),
        (plan("GRU", "GRU"), False),
        (plan("GRU,Add,Relu"), False),
        (plan("GRU,Add", "GRU,Add", level=NONE), False),
    ],
)
def test_only_plans_that_can_differ_are_run_without_optimisation(original, raced):
    races = []

    def race(plans):
        races.append(plans)
        return [result(1.0, 1.0), result(0.5, 0.5)]

    found = tune(original, race, {})
    assert (found is not None) == raced
    if raced:
        ((first, twin),) = races
        assert first is original
        assert levels(twin) == [NONE, NONE]


EVERYTHING = {"openvino": lambda nodes: True}


def test_no_stage_is_given_to_an_engine_that_does_not_claim_it():
    original = plan("GRU,Add", "GRU,Relu", level=NONE)
    first = original.stages[0].nodes

    def race(plans):
        assert [[stage.engine for stage in one.stages] for one in plans[1:]] == [["openvino", "onnxruntime"]]
        return [result(1.0, 1.0), result(0.5, 1.0)]

    found = tune(original, race, {"openvino": lambda nodes: set(nodes) <= set(first)})
    assert [stage.engine for stage in found.stages] == ["openvino", "onnxruntime"]
    assert tune(original, race, {"openvino": lambda nodes: set(nodes) <= set(first[:1])}) is None


def test_each_stage_is_run_by_the_engine_by_which_it_is_fastest():
    original = plan("GRU,Add", "MatMul,Add", "GRU,Relu")

    def race(plans):
        assert [one.name for one in plans] == ["heft", "heft-plain", "heft-openvino-0"]
        assert {stage.engine for stage in plans[2].stages} == {"openvino"}
        return [result(1.0, 1.0, 1.0), result(0.9, 1.0, 1.2), result(0.8, 0.99, 0.7)]

    found = tune(original, race, EVERYTHING)
    assert [stage.engine for stage in found.stages] == ["openvino", "onnxruntime", "openvino"]
    broken = Result("heft-openvino-0", error="no such operator")
    assert levels(tune(original, lambda plans: [*race(plans)[:2], broken], EVERYTHING)) == [NONE, ALL, ALL]


def test_a_plan_that_cannot_run_without_optimisation_stays_as_it_is():
    broken = Result("heft-plain", error="no kernel")
    assert tune(plan("GRU,Add", "GRU,Add"), lambda plans: [result(1.0, 1.0), broken], {}) is None


def test_processes_without_rounds_are_no_pairs():
    slow, quick = [[1.0] * 3] * 10, [[0.8] * 3] * 10
    assert faster([[], quick, quick], [slow, slow, slow])
    assert not faster([[], slow, slow], [slow, quick, quick])
    assert not faster([[], quick], [slow]), "never measured in turn"


def trial(seconds: float, processes: int = 3, **update: object) -> Trial:
    measured = Latency(p50=seconds, p90=seconds, p99=seconds, repetitions=30)
    original = plan("GRU,Add", "GRU,Add").model_copy(update={"measured": measured, **update})
    return Trial(original, processes=[[[seconds] * 3] * 10 for _ in range(processes)])


def tuned_trial(seconds: float, **update: object) -> Trial:
    found = trial(seconds, name="heft-tuned", **update)
    found.processes[0] = []
    return found


def test_a_tuned_plan_that_wins_takes_the_place_of_its_original_among_all_others():
    original, other = trial(1.0), trial(1.4, processes=1, name="other")
    better = tuned_trial(0.9)
    assert settle([original, other], original, better, by=0.02) == [better, other]
    assert better.beats(other, 0.05), "which was in no process with it"


def test_a_tuned_plan_that_wins_nothing_or_fails_is_left_out():
    original, same, broken = trial(1.0), tuned_trial(0.99), tuned_trial(0.9)
    broken.problem = "other values"
    for tuned_one in (same, broken):
        assert settle([original], original, tuned_one, by=0.02) == [original]


def test_a_tuned_plan_that_outlasts_its_original_takes_its_place():
    original, better = trial(1.0, processes=2), tuned_trial(0.8)
    better.processes = [[], [[0.8] * 3] * 2]
    original.eliminated = True
    assert not better.beats(original, 0.02), "two rounds are few"
    assert settle([original], original, better, by=0.02) == [better]
    better.eliminated = True
    assert settle([original], original, better, by=0.02) == [original], "something else beat both"


def test_a_tuned_plan_that_was_eliminated_takes_no_place():
    original, better = trial(1.0), tuned_trial(0.9)
    better.eliminated = True
    assert better.beats(original, 0.02), "by too little to be chosen over what is simpler"
    assert settle([original], original, better, by=0.02) == [original]


def test_twins_of_which_no_stage_could_be_taken_leave_and_end_the_race():
    referee = TwinElimination()
    original = result(1.0, 2.0, 4.0, sessions=(0, 1, 0))
    slower, once, shared = (result(*stages) for stages in ((1.2, 1.99, 4.1), (2.0, 2.0, 2.0), (0.5, 2.0, 4.5)))
    once.stages[0] = [2.0, 1.8, 4.0]
    found = [original, slower, once, shared]
    assert [referee.eliminates(index, found) for index in range(4)] == [False, True, False, True]
    slower.eliminated = shared.eliminated = True
    assert not referee.decided(found)
    once.error = "no kernel"
    assert referee.decided(found)
    assert referee.decided([Result("heft", error="no kernel"), slower])


def test_an_original_that_takes_less_gpu_memory_stays():
    original, better = trial(1.0), tuned_trial(0.9, gpu_bytes=GpuBytes(weights=8))
    assert settle([original], original, better, by=0.02) == [original, better]


def test_the_seconds_of_every_stage_come_back(prepared_case, candidates_of):
    prepared = prepared_case("gru-forward-l2-h64-s32-b1")
    layered = next(plan for plan in candidates_of("gru-forward-l2-h64-s32-b1") if "-layered+wavefront" in plan.name)
    assert len({lane for stage in layered.stages for lane in stage.lanes}) == 2
    contender = PlanContender(layered, prepared.folder, ("cpu",), 2, prepared.buckets[0].feeds)
    session = SessionContender("session", prepared.model, prepared.buckets[0].feeds)
    found, other = contest(
        [contender, session],
        LIMITS,
        rounds=2,
        turn_seconds=0.01,
        deadline=float("inf"),
        progress=lambda what, done: None,
    )
    assert not found.error
    assert [len(seconds) for seconds in found.stages] == [len(layered.stages)] * 2
    for runs, stages in zip(found.rounds, found.stages, strict=True):
        assert all(0 < seconds < max(runs) for seconds in stages)
    assert (other.stages, other.sessions) == ([[], []], ())
    chunks = [index for index, stage in enumerate(layered.stages) if "GRU" in stage.operators]
    assert len({found.sessions[index] for index in chunks}) < len(chunks), "chunks of a layer share a session"


@pytest.mark.parametrize("seconds", [60, 0.001])
def test_a_tuned_plan_is_measured_beside_the_others_while_there_is_time(
    prepared_case, made_up_profile, in_haste, monkeypatch, seconds
):
    in_haste(monkeypatch)
    monkeypatch.setattr(
        measured_frontier, "tune", lambda plan, race, engines: tuned_plain(plan, ones(plan, 1.0), ones(plan, 0.5))
    )
    # The profile is made up, so it must not rule any plan out.
    monkeypatch.setattr(measured_frontier, "Elimination", lambda *_, **__: None)
    monkeypatch.setattr(measured_frontier, "_TUNED", inf)
    prepared = prepared_case("gru-bidirectional-l2-h16-s8-b2")
    budget = Budget(search_work=50_000, tasks=0)
    settings = PlanningSettings(cpu_lanes=2, limits=LIMITS, timeout_seconds=seconds, budget=budget)
    (frontier,) = measured_plans(prepared, made_up_profile(prepared), settings).buckets
    plans = {one.name: one for one in frontier.candidates}
    found = [one for name, one in plans.items() if name.endswith("-tuned")]
    if seconds < 1:
        assert not found
    else:
        (found,) = found
        assert found.measured is not None
        assert not found.problem
        assert found.predicted_seconds == plans[found.name.removesuffix("-tuned")].predicted_seconds


def ones(plan: Plan, seconds: float) -> Result:
    return result(*[seconds] * len(plan.stages))
