"""Candidates for stacks in time chunks."""

from chrion_planner.candidates import candidates
from chrion_planner.partition import Budget

QUICK = Budget(search_work=50_000, tasks=0)


def test_a_layered_candidate_runs_each_layer_on_a_lane_of_its_own(prepared_case, made_up_profile):
    prepared = prepared_case("gru-forward-l2-h64-s32-b1")
    found = candidates(prepared.buckets[0].variants, made_up_profile(prepared), QUICK).plans
    layered = next(plan for plan in found if "-layered+wavefront" in plan.name)
    chunks = [stage for stage in layered.stages if "GRU" in stage.operators]
    assert all(stage.operators["GRU"] == 1 and stage.operators.keys() <= {"GRU", "Squeeze"} for stage in chunks)
    assert {stage.lanes for stage in chunks} == {("cpu/0",), ("cpu/1",)}
