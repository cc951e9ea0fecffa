"""Lanes that slow each other: what the simulator makes of them, and plans over the lanes of a GPU alone."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chrion_api import HOST
from chrion_oracles.rules import validate_stages
from chrion_planner.partition import Budget, StagePlan, best_stages, simulate

BUDGET = Budget(search_work=200_000, tasks=0)
GPU = "cuda:0"


def crowded(one, ratio):
    """The problem with GPU lanes that take `ratio` times as long while the other is busy."""
    return replace(one, crowded={GPU: [seconds * ratio for seconds in one.seconds[GPU]]})


def side_by_side(build, seconds=(1.0, 1.0), ratio=2.0):
    """Two tasks without edges, each on a lane of its own."""
    on = build.lanes(gpu=2)
    one = build.problem({HOST: list(seconds), GPU: list(seconds)}, [], on)
    free = replace(one, hop=dict.fromkeys(one.hop, 0.0))
    return crowded(free, ratio), [StagePlan((task,), task) for task in range(len(seconds))]


def test_two_that_share_all_end_when_they_would_one_after_the_other(build):
    contended, stages = side_by_side(build)
    simulation = simulate(contended, stages)
    assert simulation.makespan == pytest.approx(2.0)
    validate_stages(contended, simulation.stages, simulation.makespan)


def test_only_while_both_run_is_each_slower(build):
    contended, stages = side_by_side(build, seconds=(1.0, 3.0))
    simulation = simulate(contended, stages)
    # Both at half the speed until the short one has ended, at 2; of the long one 2 are left.
    assert [stage.finish for stage in simulation.stages] == pytest.approx([2.0, 4.0])


def test_what_starts_later_slows_what_runs_already(build):
    on = build.lanes(gpu=2)
    base = build.problem({HOST: [1.0, 1.0, 2.0], GPU: [1.0, 1.0, 2.0]}, [(0, 1, 0)], on)
    contended = crowded(replace(base, hop=dict.fromkeys(base.hop, 0.0), handoff=dict.fromkeys(base.handoff, 0.0)), 1.5)
    stages = [StagePlan((2,), 0), StagePlan((0,), 1), StagePlan((1,), 1)]
    simulation = simulate(contended, stages)
    # 0 and 1 one after the other beside 2: all of it crowded, until 2 is left or they are.
    assert simulation.makespan == pytest.approx(3.0)
    validate_stages(contended, simulation.stages, simulation.makespan)


def test_lanes_of_which_some_are_busy_are_slowed_in_part(build):
    on = build.lanes(gpu=3)
    base = build.problem({HOST: [1.0, 1.0], GPU: [1.0, 1.0]}, [], on)
    contended = crowded(replace(base, hop=dict.fromkeys(base.hop, 0.0)), 3.0)
    simulation = simulate(contended, [StagePlan((0,), 0), StagePlan((1,), 1)])
    assert simulation.makespan == pytest.approx(2.0), "one of two others"


def test_the_host_is_not_slowed_by_the_gpu(build):
    on = build.lanes(cpu=1, gpu=2)
    contended = crowded(build.problem({HOST: [1.0, 1.0], GPU: [1.0, 1.0]}, [], on), 2.0)
    simulation = simulate(contended, [StagePlan((0,), 0), StagePlan((1,), 1)])
    assert simulation.makespan == pytest.approx(1.0 + build.HOP)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_as_fast_as_without_and_as_slow_as_in_turn_at_most(build, data):
    base = build.drawn(data, 8)
    ratio = data.draw(st.sampled_from((1.0, 1.3, 2.0)), "ratio")
    contended = crowded(base, ratio)
    found = best_stages(contended, Budget(search_work=2_000, stage_work=2_000, tasks=0))
    if found is None:
        return
    stages = found.simulation.stages
    validate_stages(contended, stages, found.simulation.makespan)
    free = simulate(base, stages).makespan
    slow = simulate(replace(base, seconds={**base.seconds, GPU: contended.crowded[GPU]}), stages).makespan
    # Slower stages may only ever begin later: each lane keeps its order.
    assert free * (1 - 1e-9) <= found.simulation.makespan <= slow * (1 + 1e-9)


def lanes_used(found):
    return {stage.lane for stage in found.simulation.stages}


def test_a_second_lane_is_used_where_it_gains(build):
    apart = crowded(build.bidirectional(3, on=build.lanes(gpu=2)), 1.1)
    found = best_stages(apart, BUDGET)
    assert lanes_used(found) == {0, 1}
    alone = simulate(apart, [StagePlan(tuple(range(9)), 0)]).makespan
    assert found.simulation.makespan < 0.75 * alone


def test_a_second_lane_that_gains_nothing_is_left_alone(build):
    contended = crowded(build.fork_join(4, 500e-6, on=build.lanes(gpu=2)), 2.0)
    found = best_stages(contended, BUDGET)
    assert len(found.simulation.stages) == 1


def test_values_between_lanes_of_one_gpu_are_handed_over_and_not_copied(build):
    on = build.lanes(gpu=2)
    chained = crowded(build.problem({HOST: [1e-3] * 2, GPU: [1e-3] * 2}, [(0, 1, 1 << 30)], on), 2.0)
    makespan = simulate(chained, [StagePlan((0,), 0), StagePlan((1,), 1)]).makespan
    assert makespan == pytest.approx(2 * (1e-3 + build.HOP) + build.HANDOFF)


def test_the_same_problem_has_the_same_stages_each_time(build):
    contended = crowded(build.bidirectional(2, on=build.lanes(cpu=1, gpu=2)), 1.4)
    assert best_stages(contended, BUDGET) == best_stages(contended, BUDGET)
