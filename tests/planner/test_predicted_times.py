"""Predicted times of stages: what the simulator alone does not know of."""

import pytest

from chrion_api import CachePoint, Optimization
from chrion_planner.costs import costs
from chrion_planner.partition import StagePlan, simulate
from chrion_planner.predicted_times import predicted

SPLIT = "gru-bidirectional-l2-h16-s8-b2"


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


def test_sessions_that_outgrow_the_caches_read_their_weights_anew(prepared_case, made_up_profile):
    prepared = prepared_case("gru-forward-l2-h64-s32-b1")
    bucket = next(item.bucket for item in prepared.buckets[0].variants if item.rewrites)
    profile = made_up_profile(prepared)
    whole = sum(dict(costs(bucket, profile, Optimization.ALL).weights).values())
    points = (CachePoint(bytes=whole, seconds_per_byte=0), CachePoint(bytes=2 * whole, seconds_per_byte=1e-9))
    device = profile.device("cpu").model_copy(update={"cache": points})
    work = costs(bucket, profile.model_copy(update={"devices": (device,)}), Optimization.ALL)
    alone = [StagePlan((task,), 0) for task in range(len(work.members))]
    assert predicted(work, alone) == simulate(work.problem, alone)  # the chunks of a layer share its session
    chunk = next(task for task, nodes in enumerate(work.members) if bucket.graph.nodes[nodes[0]].op_type == "GRU")
    merged = [StagePlan(tuple(range(chunk + 1)), 0), *alone[chunk + 1 :]]
    more = predicted(work, merged).makespan - simulate(work.problem, merged).makespan
    assert 0 < more < whole * len(alone) * 1e-9


def test_what_is_known_of_the_caches_is_interpolated(two_lanes):
    device = two_lanes(cache=(CachePoint(bytes=100, seconds_per_byte=0), CachePoint(bytes=200, seconds_per_byte=4)))[
        0
    ].host
    assert [device.uncached_seconds_per_byte(nbytes) for nbytes in (0, 100, 150, 200, 999)] == [0, 0, 2, 4, 4]
