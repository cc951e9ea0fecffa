"""Predicted times of stages: what the simulator alone does not know of."""

import pytest

from chrion_api import CachePoint, Optimization
from chrion_planner.costs import costs
from chrion_planner.partition import StagePlan, simulate
from chrion_planner.predict import predicted

SPLIT = "gru-bidirectional-l2-h16-s8-b2"
MEGA = 1 << 20


@pytest.fixture
def two_lanes(prepared_case, made_up_profile):
    """Costs of a model whose directions are split, with `changes` to the profile, and stages on two lanes."""
    prepared = prepared_case(SPLIT)
    bucket = next(item.bucket for item in prepared.buckets[0].variants if item.rewrites)
    profile = made_up_profile(prepared)

    def build(crowded=1.0, **changes):
        device = profile.device("cpu")
        nodes = {
            name: cost.model_copy(update={"crowded_seconds": cost.seconds * crowded})
            for name, cost in device.nodes.items()
        }
        device = device.model_copy(update={"nodes": nodes, **changes})
        work = costs(bucket, profile.model_copy(update={"devices": (device,)}), Optimization.ALL)
        reverse = {task for task, (node,) in enumerate(work.members) if "/reverse" in bucket.graph.writes[node][0]}
        stages = [StagePlan((task,), int(task in reverse)) for task in range(len(work.members))]
        return work, stages

    return build


def test_without_effects_it_is_what_the_simulator_says(two_lanes):
    work, stages = two_lanes()
    assert predicted(work, stages) == simulate(work.problem, stages)


def test_a_run_of_several_stages_has_a_fixed_cost(two_lanes):
    work, stages = two_lanes(launch_seconds=1e-3)
    assert predicted(work, stages).makespan == pytest.approx(simulate(work.problem, stages).makespan + 1e-3)
    whole = [StagePlan(tuple(range(len(work.members))), 0)]
    assert predicted(work, whole) == simulate(work.problem, whole)


def test_only_what_runs_at_once_crowds(two_lanes):
    work, stages = two_lanes(crowded=2.0)
    alone = simulate(work.problem, stages)
    together = predicted(work, stages)
    assert alone.makespan < together.makespan < 2 * alone.makespan
    in_turn = [StagePlan(stage.tasks, 0) for stage in stages]
    assert predicted(work, in_turn) == simulate(work.problem, in_turn)


def test_sessions_that_outgrow_the_caches_read_their_weights_anew(two_lanes):
    small = (CachePoint(bytes=1, seconds_per_byte=0), CachePoint(bytes=100, seconds_per_byte=1e-6))
    large = (CachePoint(bytes=MEGA, seconds_per_byte=0), CachePoint(bytes=2 * MEGA, seconds_per_byte=1e-6))
    work, stages = two_lanes(cache=small)
    held = sum(nbytes for _, nbytes in work.weights)
    longer = predicted(work, stages).makespan - simulate(work.problem, stages).makespan
    assert 0 < longer <= held * 1e-6 * 1.001
    work, stages = two_lanes(cache=large)
    assert predicted(work, stages).makespan == simulate(work.problem, stages).makespan


def test_what_is_known_of_the_caches_is_interpolated(two_lanes):
    device = two_lanes(cache=(CachePoint(bytes=100, seconds_per_byte=0), CachePoint(bytes=200, seconds_per_byte=4)))[
        0
    ].host
    assert [device.uncached_seconds_per_byte(nbytes) for nbytes in (0, 100, 150, 200, 999)] == [0, 0, 2, 4, 4]
