"""Candidate plans, and the frontier that a profile predicts."""

import pytest

from chrion_api import PlanFile
from chrion_planner.errors import ProfileMismatch
from chrion_planner.partition import Budget
from chrion_planner.planner import predicted_plans
from chrion_runtime.devices import open_devices
from chrion_runtime.run.compiled_plan import compile_plan
from chrion_runtime.run.kernels import KernelStore
from chrion_runtime.run.loaded_plan import LoadedPlan

GRU = "gru-bidirectional-l2-h16-s8-b2"

QUICK = Budget(search_work=50_000, tasks=0)


def test_two_directions_run_side_by_side_on_two_lanes(prepared_case, made_up_profile):
    prepared = prepared_case(GRU)
    (frontier,) = predicted_plans(prepared, made_up_profile(prepared), QUICK).buckets
    (plan,) = frontier.plans
    assert [rewrite.name for rewrite in plan.rewrites] == ["split-directions"]
    recurrent = [stage for stage in plan.stages if "GRU" in stage.operators]
    assert {stage.lanes for stage in recurrent} == {("cpu/0",), ("cpu/1",)}
    assert plan.measured is None
    assert plan.predicted_seconds < 0.75 * 1000e-6


def test_hand_offs_that_cost_more_than_they_gain_leave_one_stage(prepared_case, made_up_profile):
    prepared = prepared_case(GRU)
    profile = made_up_profile(prepared)
    device = profile.device("cpu").model_copy(update={"handoff_seconds": 1.0})
    slow = profile.model_copy(update={"devices": (device,)})
    (frontier,) = predicted_plans(prepared, slow, QUICK).buckets
    assert [len(plan.stages) for plan in frontier.plans] == [1]


@pytest.fixture(scope="module")
def accelerated(prepared_case, made_up_profile):
    """The plans for one lane of the CPU and an accelerator."""
    prepared = prepared_case(GRU)
    return predicted_plans(prepared, made_up_profile(prepared, cpu_lanes=1, accelerator="emulated:0"), QUICK)


def test_the_frontier_goes_from_the_fastest_to_the_smallest(accelerated):
    (frontier,) = accelerated.buckets
    seconds = [plan.predicted_seconds for plan in frontier.plans]
    nbytes = [plan.gpu_bytes.total for plan in frontier.plans]
    assert len(frontier.plans) > 2
    assert seconds == sorted(seconds)
    assert nbytes == sorted(nbytes, reverse=True)
    assert nbytes[-1] == 0
    assert len({plan.name for plan in frontier.plans}) == len(frontier.plans)


def test_every_plan_can_be_built_and_is_the_same_each_time(prepared_case, made_up_profile, accelerated):
    prepared = prepared_case(GRU)
    profile = made_up_profile(prepared, cpu_lanes=1, accelerator="emulated:0")
    assert predicted_plans(prepared, profile, QUICK).to_json() == accelerated.to_json()
    assert PlanFile.from_json(accelerated.to_json()) == accelerated
    graph = prepared.buckets[0].variants[0].bucket.graph
    devices = open_devices(["emulated:0"], 1)
    for plan in accelerated.buckets[0].plans:
        LoadedPlan(compile_plan(graph, plan), devices, KernelStore())  # refuses nodes left out, rings and unknown lanes


def test_a_profile_of_another_model_is_refused(prepared_case, made_up_profile):
    profile = made_up_profile(prepared_case(GRU)).model_copy(update={"model": "0" * 64})
    with pytest.raises(ProfileMismatch, match="made for model 000000000000"):
        predicted_plans(prepared_case(GRU), profile, QUICK)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"options": {"optimization": "Some"}}, "has the optimization 'Some', which must be All or None"),
        ({"lanes": 10**9}, "holds 1000000000 of 1 lanes"),
    ],
)
def test_a_run_in_a_profile_that_no_device_has_is_named(prepared_case, made_up_profile, change, problem):
    prepared = prepared_case(GRU)
    profile = made_up_profile(prepared, cpu_lanes=1)
    (device,) = profile.devices
    wholes = tuple(whole.model_copy(update=change) for whole in device.wholes)
    profile = profile.model_copy(update={"devices": (device.model_copy(update={"wholes": wholes}),)})
    with pytest.raises(ProfileMismatch, match=f"the profile of cpu: a run of a whole graph {problem}; profile again"):
        predicted_plans(prepared, profile, QUICK)
