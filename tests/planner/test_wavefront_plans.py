"""Candidates for stacks in time chunks."""


def test_a_layered_candidate_runs_each_layer_on_a_lane_of_its_own(candidates_of):
    layered = next(plan for plan in candidates_of("gru-forward-l2-h64-s32-b1") if "-layered+wavefront" in plan.name)
    chunks = [stage for stage in layered.stages if "GRU" in stage.operators]
    assert all(stage.operators["GRU"] == 1 and stage.operators.keys() <= {"GRU", "Squeeze"} for stage in chunks)
    assert {stage.lanes for stage in chunks} == {("cpu/0",), ("cpu/1",)}
