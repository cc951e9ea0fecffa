"""The simulator by hand, and grouping: what becomes one stage, what stays apart, and that nothing waits for itself."""

from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chrion_api import HOST
from chrion_oracles.rules import validate_stages
from chrion_planner.errors import ScheduleError
from chrion_planner.partition import Problem, StagePlan, each_device, simulate
from chrion_planner.partition.heft import heft
from chrion_planner.partition.simulate import StageDag
from chrion_planner.partition.stages import cut
from tests.support.schedules import group


def test_times_by_hand(build: SimpleNamespace) -> None:
    problem = build.problem(
        {HOST: [1e-4] * 4, build.GPU: [5e-5] * 4},
        [(0, 2, 100_000), (1, 2, 50_000), (0, 3, 100_000), (1, 3, 50_000)],
        build.lanes(cpu=1, gpu=1),
        host_in=[1_000_000, 0, 200_000, 0],
        host_out=[0, 0, 0, 50_000],
    )
    simulation = simulate(problem, [StagePlan((0, 1), 0), StagePlan((2, 3), 1)])
    first, second = simulation.stages
    assert (first.start, first.finish) == pytest.approx((0, 204e-6))
    # One copy of both values, each once though it is read twice: 30 µs of hand-off, 10 of latency, 15 of copying.
    assert (second.start, second.finish) == pytest.approx((259e-6, 363e-6))
    assert simulation.makespan == pytest.approx(378e-6)
    # Alone on the GPU the request's 1.2 MB are copied first.
    (only,) = simulate(problem, [StagePlan((0, 1, 2, 3), 1)]).stages
    assert (only.start, only.finish) == pytest.approx((130e-6, 334e-6))


def test_a_circle_of_stages_is_refused(build: SimpleNamespace) -> None:
    problem = build.problem({HOST: [1e-4] * 3}, [(0, 1, 0), (1, 2, 0)], build.lanes(cpu=2))
    with pytest.raises(ScheduleError, match="acyclic stages"):
        simulate(problem, [StagePlan((0, 2), 0), StagePlan((1,), 1)])


def test_stages_come_in_the_order_of_their_start(build: SimpleNamespace) -> None:
    problem = build.problem({HOST: [3e-4, 1e-4, 1e-4]}, [(1, 2, 0)], build.lanes(cpu=2))
    simulation = simulate(problem, [StagePlan((1,), 1), StagePlan((2,), 1), StagePlan((0,), 0)])
    assert [stage.tasks for stage in simulation.stages] == [(1,), (0,), (2,)]


def grouped(problem: Problem) -> tuple[StagePlan, ...]:
    schedule = heft(problem)
    assert schedule is not None
    simulation = group(problem, schedule)
    validate_stages(problem, simulation.stages, simulation.makespan)
    return simulation.stages


def test_a_chain_ends_as_one_stage(build: SimpleNamespace) -> None:
    for on in (build.lanes(cpu=2), build.lanes(cpu=2, gpu=1)):
        (stage,) = grouped(build.chain(20, on))
        assert stage.tasks == tuple(range(20))


def test_cheap_forks_end_as_one_stage(build: SimpleNamespace) -> None:
    assert len(grouped(build.fork_join(8, 3e-6))) == 1


def test_directions_run_side_by_side(build: SimpleNamespace) -> None:
    problem = build.bidirectional(4)
    stages = grouped(problem)
    lane_of = {task: stage.lane for stage in stages for task in stage.tasks}
    assert all(lane_of[3 * layer] != lane_of[3 * layer + 1] for layer in range(4))
    assert max(stage.finish for stage in stages) < 4 * 550e-6


def test_everything_on_one_lane_is_one_stage(instance: Problem) -> None:
    for schedule in each_device(instance).values():
        assert len(group(instance, schedule).stages) == min(len(instance.tasks), 1)


def test_grouping_only_gains_on_the_cut(instance: Problem) -> None:
    schedule = heft(instance)
    assert schedule is not None
    before = simulate(instance, cut(instance, schedule))
    validate_stages(instance, before.stages, before.makespan)
    after = group(instance, schedule)
    assert after.makespan <= before.makespan * (1 + 1e-9)


def test_grouping_is_hardly_ever_worse_than_one_stage(instance: Problem) -> None:
    schedule = heft(instance)
    assert schedule is not None
    for alone in each_device(instance).values():
        assert group(instance, schedule).makespan <= group(instance, alone).makespan * 1.02


def test_a_stage_moves_where_it_helps(build: SimpleNamespace) -> None:
    # The cut of a schedule that leaves the fast GPU idle.
    problem = build.problem({HOST: [1e-3] * 2, build.GPU: [1e-4] * 2}, [(0, 1, 0)], build.lanes(cpu=1, gpu=1))
    simulation = group(problem, each_device(problem)[HOST])
    assert [stage.lane for stage in simulation.stages] == [1]


def test_no_stage_moves_to_a_full_device(build: SimpleNamespace) -> None:
    problem = build.problem(
        {HOST: [1e-3] * 2, build.GPU: [1e-4] * 2},
        [(0, 1, 0)],
        build.lanes(cpu=1, gpu=1),
        memory={build.GPU: [5, 5]},
        budget={build.GPU: 9},
    )
    simulation = group(problem, each_device(problem)[HOST])
    assert [stage.lane for stage in simulation.stages] == [0]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_change_is_what_building_anew_gives(build: SimpleNamespace, data: st.DataObject) -> None:
    problem = build.drawn(data, most=10)
    schedule = heft(problem)
    if schedule is None:
        return
    graph = StageDag.of(problem, cut(problem, schedule))
    for _ in range(4):
        pairs = [tuple(order[i : i + 2]) for order in graph.orders for i in range(len(order) - 1)]
        moves = [
            (stage, place)
            for stage, node in graph.nodes.items()
            for place in problem.times
            if graph.fits(stage, place) and place != node.place
        ]
        merges = [(into, other) for pair in pairs for into, other in (pair, pair[::-1])]
        changes = [("merged", pair) for pair in merges if graph.fits(pair[1], graph.nodes[pair[0]].place)]
        changes += [("moved", move) for move in moves]
        if not changes:
            return
        kind, arguments = data.draw(st.sampled_from(changes))
        changed = getattr(graph, kind)(*arguments)
        if changed.makespan is not None:
            anew = StageDag.of(problem, changed.run().stages)
            assert anew.makespan == changed.makespan
            assert anew.run() == changed.run()
            graph = changed


def test_thousands_of_tasks_are_grouped(build: SimpleNamespace) -> None:
    stages = grouped(build.layered(1, 1_500, build.lanes(cpu=2, gpu=1)))
    assert len(stages) > 1
