"""Plans for a GPU that is not here, from the modelled profiles with what a real one would tell beside it."""

from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

from chrion import planning
from chrion_api import SLO, Frontier, Mode, Optimization, Plan, Profile
from chrion_models.families import find
from chrion_planner import candidates as searching
from chrion_planner.candidates import candidates
from chrion_planner.captures import is_captured
from chrion_planner.partition import Budget
from chrion_planner.planner import predicted_plans
from chrion_planner.prepare import Prepared
from chrion_runtime.choice.selection import select

PROFILES = Path(__file__).parents[2] / "bench" / "profiles"
GPU = "cuda:0"
MODEL = "gru-bidirectional-l2-h128-s32-b1"
QUICK = Budget(search_work=50_000, stage_work=20_000, tasks=0)
PER_SESSION = 32 << 20


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> planning.PlanningTask:
    folder = tmp_path_factory.mktemp("model")
    case = find(MODEL)
    onnx.save(case.build(), folder / "model.onnx")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHRION_CACHE", str(folder / "cache"))
        yield planning.PlanningTask(folder / "model.onnx", case.specs)


@pytest.fixture(scope="module")
def profile() -> Profile:
    """The modelled GPU with two streams; kernels that do not fill it slow each other by little."""
    file = PROFILES / f"{MODEL}.modelled-h100.json"
    return with_gpu(Profile.from_json(file.read_bytes(), str(file)), lanes=2, crowded=1.2, session_bytes=PER_SESSION)


@pytest.fixture(scope="module")
def prepared(job, profile) -> Prepared:
    return job.prepare(profile)


@pytest.fixture(autouse=True, scope="module")
def fewer_budgets() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searching, "MEMORY_STEPS", (0.75, 0.25))
        yield


@pytest.fixture(scope="module")
def plans(prepared, profile, fewer_budgets) -> tuple[Plan, ...]:
    """All candidates."""
    return candidates(prepared.buckets[0].variants, profile, QUICK).plans


@pytest.fixture(scope="module")
def fast_frontier(prepared, profile, fewer_budgets) -> Frontier:
    """The plans where the GPU is worth using alone."""
    return predicted_plans(prepared, fast(profile), QUICK).buckets[0]


def with_gpu(profile, crowded=None, nodes=None, **update):
    """The profile with changes to its GPU."""
    gpu = profile.device(GPU)
    costs = gpu.nodes if nodes is None else nodes
    if crowded is not None:
        costs = {
            name: cost and cost.model_copy(update={"crowded_seconds": cost.seconds * crowded})
            for name, cost in costs.items()
        }
    gpu = gpu.model_copy(update={**update, "nodes": costs})
    others = [device for device in profile.devices if device.name != GPU]
    return profile.model_copy(update={"devices": (*others, gpu)})


def fast(profile, factor=4.0):
    """The GPU that many times as fast, so that it is worth using alone."""
    gpu = profile.device(GPU)
    nodes = {
        name: cost and cost.model_copy(update={"seconds": cost.seconds / factor}) for name, cost in gpu.nodes.items()
    }
    wholes = tuple(whole.model_copy(update={"seconds": whole.seconds / factor}) for whole in gpu.wholes)
    return with_gpu(profile, crowded=1.2, nodes=nodes, wholes=wholes)


def lanes(plan):
    return {lane for stage in plan.stages for lane in stage.lanes}


def test_the_same_profile_gives_the_same_plans(prepared, profile):
    file = predicted_plans(prepared, profile, QUICK)
    assert predicted_plans(prepared, profile, QUICK).to_json() == file.to_json()


def test_no_stage_holds_two_lanes_of_a_gpu(plans):
    for plan in plans:
        for stage in plan.stages:
            assert len(stage.lanes) == 1 or stage.device == "cpu"


def test_plans_over_the_lanes_of_a_gpu_alone(prepared, profile):
    plans = candidates(
        prepared.buckets[0].variants, fast(with_gpu(profile, hop_seconds=1e-6, handoff_seconds=1e-6)), QUICK
    ).plans
    both = [plan for plan in plans if lanes(plan) == {f"{GPU}/0", f"{GPU}/1"}]
    assert both
    best = min(both, key=lambda plan: plan.predicted_seconds)
    one = min((plan for plan in plans if lanes(plan) == {f"{GPU}/0"}), key=lambda plan: plan.predicted_seconds)
    assert best.predicted_seconds < one.predicted_seconds, "directions side by side"
    assert [rewrite.name for rewrite in best.rewrites] == ["split-directions"]


def test_streams_that_share_all_are_not_used_side_by_side(prepared, profile):
    full = with_gpu(fast(with_gpu(profile, hop_seconds=1e-6, handoff_seconds=1e-6)), crowded=2.0)
    plans = candidates(prepared.buckets[0].variants, full, QUICK).plans
    both = [plan.predicted_seconds for plan in plans if lanes(plan) == {f"{GPU}/0", f"{GPU}/1"}]
    one = min(plan.predicted_seconds for plan in plans if lanes(plan) == {f"{GPU}/0"})
    assert all(seconds >= one for seconds in both)


def test_each_session_takes_what_sessions_take(plans):
    for plan in plans:
        on_gpu = [stage for stage in plan.stages if stage.device == GPU]
        assert plan.gpu_bytes.workspace <= PER_SESSION * len(on_gpu)
        assert (plan.gpu_bytes.workspace >= PER_SESSION) == bool(on_gpu)
        assert (plan.gpu_bytes.context > 0) == bool(on_gpu)


def test_arenas_and_what_lies_outside_of_them_are_all_that_a_plan_takes(plans):
    for plan in plans:
        arenas = [stage.arena_bytes for stage in plan.stages if stage.device == GPU]
        assert all(arenas)
        assert not any(stage.arena_bytes for stage in plan.stages if stage.device != GPU)
        beside = plan.gpu_bytes.total - plan.gpu_bytes.context - plan.outside_bytes
        assert max(arenas, default=0) <= beside <= sum(arenas), "stages alike share one"
        assert plan.outside_bytes >= PER_SESSION * bool(arenas), "the libraries' handles among them"


def test_latency_and_memory_mode(fast_frontier):
    frontier = fast_frontier
    fastest, smallest = frontier.plans[0], frontier.plans[-1]
    assert smallest.gpu_bytes.total == 0
    assert select(frontier, SLO(), Mode.LATENCY).plan == fastest
    slack = SLO.from_json(f'{{"latency": "{smallest.predicted_seconds * 2e6:.0f}us"}}')
    assert select(frontier, slack, Mode.MEMORY).plan == smallest
    # A budget counts the context: what would fit without it does not.
    within = fastest.gpu_bytes.total - fastest.gpu_bytes.context
    budget = SLO.from_json(f'{{"gpuMemory": "{within}"}}')
    assert select(frontier, budget, Mode.LATENCY).plan.gpu_bytes.total <= within < fastest.gpu_bytes.total


def test_cuda_graphs_are_predicted_by_what_the_whole_saves(prepared, profile, fast_frontier):
    gpu = profile.device(GPU)
    captured = tuple(
        whole.model_copy(update={"options": {**whole.options, "capture": True}, "seconds": whole.seconds / 2})
        for whole in gpu.wholes
    )
    quick = fast(with_gpu(profile, wholes=(*gpu.wholes, *captured)))
    plans = {plan.name: plan for plan in candidates(prepared.buckets[0].variants, quick, QUICK).plans}
    graphs = {name: plan for name, plan in plans.items() if is_captured(plan)}
    single = plans[f"{GPU}-1-lane"]
    assert graphs[f"{GPU}-1-lane-graphed"].predicted_seconds == pytest.approx(single.predicted_seconds / 2)
    for name, plan in graphs.items():
        assert all(("capture" in stage.options) == (stage.device == GPU) for stage in plan.stages)
        twin = plans[name.replace("-graphed", "")]
        assert plan.predicted_seconds <= twin.predicted_seconds
    (frontier,) = predicted_plans(prepared, quick, QUICK).buckets
    assert is_captured(frontier.plans[0])
    assert not any(is_captured(plan) for plan in fast_frontier.plans), "what is not known to gain is left to measuring"


def test_what_the_gpu_refuses_stays_on_the_host(prepared, profile):
    quick = fast(profile)
    nodes = {name: None if name.startswith("Concat-") else cost for name, cost in quick.device(GPU).nodes.items()}
    refusing = with_gpu(quick, nodes=nodes, wholes=())
    plans = candidates(prepared.buckets[0].variants, refusing, QUICK).plans
    assert not any(len(plan.stages) == 1 and plan.stages[0].device == GPU for plan in plans)
    most = [plan for plan in plans if plan.name.startswith(f"{GPU}-most")]
    assert most
    for plan in most:
        for stage in plan.stages:
            assert (stage.device == GPU) == ("Concat" not in stage.operators)
            assert stage.options["optimization"] == Optimization.ALL


def test_a_profile_without_the_new_fields_is_read(job):
    file = PROFILES / f"{MODEL}.modelled-h100.json"
    old = Profile.from_json(Path(file).read_bytes(), str(file))
    assert old.device(GPU).session_bytes == 0
    plans = predicted_plans(job.prepare(old), old, QUICK).buckets[0].plans
    assert plans[-1].gpu_bytes.total == 0
