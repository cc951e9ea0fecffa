"""Parts of graphs by engines that take only some nodes: profiled, planned with, and run beside ONNX Runtime."""

import os

import pytest

from chrion_api import PartCost, Profile
from chrion_graph.equality import difference
from chrion_graph.limits import Limits
from chrion_graph.rewrite import keeps_layers
from chrion_graph.signature import part_signature
from chrion_planner.candidates import candidates
from chrion_planner.costs import parts_of
from chrion_planner.partition import Budget
from chrion_planner.planner import make_profile
from chrion_planner.settings import PlanningSettings
from chrion_runtime.engines import engine_named
from tests.support.kernels import needs_kernels
from tests.support.partition import running, whole

CRNN = "crnn-c4-h16-w32-b2"
ENGINE = engine_named("recurrent")
QUICK = Budget(search_work=20_000, tasks=0)
LANES = min(2, len(os.sched_getaffinity(0)))


@pytest.fixture
def variant(prepared_case):
    """The graph as it is."""
    return prepared_case(CRNN).buckets[0].variants[0]


@pytest.fixture
def profile_with(variant, prepared_case, made_up_profile):
    """A made-up profile in which the parts take so many seconds, by the lanes that they hold."""

    def build(*runs: tuple[int, float], lanes: int = 2) -> Profile:
        profile = made_up_profile(prepared_case(CRNN), cpu_lanes=lanes)
        bucket = variant.bucket
        parts = tuple(
            PartCost(
                signature=part_signature(bucket.graph, nodes, bucket.shapes),
                engine="recurrent",
                lanes=held,
                options={} if held == 1 else {"sharing": "Pieces"},
                seconds=seconds,
            )
            for nodes in ENGINE.claims(bucket.graph, "cpu")
            for held, seconds in runs
        )
        device = profile.device("cpu").model_copy(update={"parts": parts})
        return profile.model_copy(update={"devices": (device,)})

    return build


def recurrent_stages(plans):
    """The stages by the kernels, plan by plan."""
    found = [[stage for stage in plan.stages if stage.engine == "recurrent"] for plan in plans]
    return [stages for stages in found if stages]


def test_a_part_is_a_stage_of_its_own_by_its_engine(variant, profile_with):
    plans = candidates([variant], profile_with((1, 1e-6)), QUICK).plans
    claimed = [tuple(sorted(nodes)) for nodes in ENGINE.claims(variant.bucket.graph, "cpu")]
    found = recurrent_stages(plans)
    assert found
    assert all([stage.nodes for stage in stages] == claimed for stages in found)
    assert all(len(stage.lanes) == 1 and not stage.options for stages in found for stage in stages)
    fastest = min(plans, key=lambda plan: plan.predicted_seconds)
    assert "recurrent" in fastest.name
    assert {stage.engine for stage in fastest.stages} == {"recurrent", "onnxruntime"}


def test_it_holds_the_lanes_by_which_it_is_fastest_and_runs_as_was_measured(variant, profile_with):
    plans = candidates([variant], profile_with((1, 600e-6), (2, 300e-6)), QUICK).plans
    fastest = min(plans, key=lambda plan: plan.predicted_seconds)
    (stage,) = (stage for stage in fastest.stages if stage.engine == "recurrent")
    assert stage.lanes == ("cpu/0", "cpu/1")
    assert stage.options == {"sharing": "Pieces"}


def test_one_lane_is_enough_for_parts(variant, profile_with):
    assert recurrent_stages(candidates([variant], profile_with((1, 1e-6), lanes=1), QUICK).plans)


def test_what_onnx_runtime_runs_faster_is_no_part(variant, profile_with):
    slow = profile_with((1, 1.0))
    assert parts_of(variant.bucket, slow) == []
    assert not recurrent_stages(candidates([variant], slow, QUICK).plans)


def test_no_plan_is_below_its_bound(variant, profile_with):
    for plan in candidates([variant], profile_with((1, 1e-6)), QUICK).plans:
        assert plan.bound_seconds <= plan.predicted_seconds


def test_a_plan_with_parts_answers_as_the_model_does(variant, prepared_case, profile_with):
    graph, feeds = variant.bucket.graph, prepared_case(CRNN).buckets[0].feeds
    plans = candidates([variant], profile_with((1, 1e-6), (2, 0.5e-6)), QUICK).plans
    for plan in (plan for plan in plans if recurrent_stages([plan])):
        with running(graph, plan) as executor:
            for answer in (executor.warm(feeds), executor.run(feeds)):
                assert not difference(answer, whole(graph, feeds))


@needs_kernels
def test_parts_are_profiled_on_one_lane_and_on_all(prepared_case):
    prepared = prepared_case(CRNN)
    device = make_profile(prepared, PlanningSettings(cpu_lanes=LANES, limits=Limits(seconds=120))).device("cpu")
    wanted = {
        part_signature(variant.bucket.graph, nodes, variant.bucket.shapes)
        for variant in prepared.buckets[0].variants
        if keeps_layers(variant.rewrites)
        for nodes in ENGINE.claims(variant.bucket.graph, "cpu")
    }
    assert {part.signature for part in device.parts} == wanted
    assert {part.lanes for part in device.parts} == {1, LANES}
    assert all((part.crowded_seconds is None) == (part.lanes > 1) for part in device.parts if LANES > 1)
