"""Plans over several lanes of one accelerator, made and run for real."""

import pytest

from chrion_graph.equality import difference
from chrion_planner.candidates import candidates
from chrion_planner.partition import Budget
from chrion_runtime.devices import open_devices
from chrion_runtime.devices.emulated import Emulated
from chrion_runtime.run.compiled_plan import compile_plan
from chrion_runtime.run.executor import Executor
from chrion_runtime.run.kernels import KernelStore
from chrion_runtime.run.lanes import Lanes
from chrion_runtime.run.loaded_plan import LoadedPlan
from tests.support.partition import reference

QUICK = Budget(search_work=50_000, stage_work=20_000, tasks=0)
BOTH = {"emulated:0/0", "emulated:0/1"}


def with_two_lanes(profile, crowded):
    """The profile of an accelerator with two lanes that slow each other by a factor."""
    host, device = profile.devices
    nodes = {
        name: cost.model_copy(update={"crowded_seconds": cost.seconds * crowded}) for name, cost in device.nodes.items()
    }
    return profile.model_copy(update={"devices": (host, device.model_copy(update={"lanes": 2, "nodes": nodes}))})


@pytest.mark.parametrize("model", ["gru-bidirectional-l2-h16-s8-b2", "gru-forward-l2-h64-s32-b1"])
def test_they_answer_as_the_model_does(model, prepared_case, made_up_profile):
    prepared = prepared_case(model)
    profile = with_two_lanes(made_up_profile(prepared, cpu_lanes=1, accelerator="emulated:0", speed=2.0), 1.1)
    plans = candidates(prepared.buckets[0].variants, profile, QUICK).plans
    found = [plan for plan in plans if {lane for stage in plan.stages for lane in stage.lanes} == BOTH]
    assert found, "over its lanes alone"
    feeds = prepared.buckets[0].feeds
    expected = reference(prepared.model, feeds)
    graph = prepared.buckets[0].variants[0].bucket.graph
    for plan in sorted(found, key=lambda plan: plan.predicted_seconds)[:3]:
        pool = Lanes()
        try:
            devices = {**open_devices([], 1), "emulated:0": Emulated("emulated:0", 0)}
            executor = Executor(LoadedPlan(compile_plan(graph, plan), devices, KernelStore()), pool)
            executor.warm(feeds)
            for _ in range(3):
                assert difference(executor.run(feeds), expected) == ""
        finally:
            pool.close()
