"""A budget of GPU memory is shared out among the sessions that serve side by side: together they keep to it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chrion_api import SLO, GpuBytes, Plan, Stage
from chrion_models.families import find
from chrion_runtime.devices.emulated import EmulatedMemory
from chrion_runtime.engines import Ports
from chrion_runtime.engines.identity import identity
from chrion_runtime.engines.onnxruntime.engine import OnnxRuntime
from chrion_runtime.planned_model import PlannedModel
from chrion_runtime.run.arena_budget import arena_budgets, share_out
from chrion_runtime.run.compiled_plan import CompiledPlan, StageFile
from tests.support.partition import each_node
from tests.support.plans import Planned, plan_file

GPU, OTHER, HOST = "emulated:0/0", "emulated:0/1", "cpu/0"
CASE = "gru-bidirectional-l2-h16-s8-b2"
SHAPES = {"input": (8, 2, 16)}
KEYS = [identity(Stage(nodes=(0,), lanes=(GPU,)), f"part-{number}.onnx") for number in range(6)]


@given(st.lists(st.integers(1, 10**10), min_size=1, max_size=6), st.integers(-(10**9), 10**11))
def test_shares_add_up_to_the_room_and_each_has_what_it_needs(needs: list[int], room: int) -> None:
    found = share_out(dict(zip(KEYS, needs, strict=False)), room)
    assert len(found) == len(needs)
    assert sum(found.values()) <= max(room, 0)
    if room >= sum(needs):
        assert all(found[key] >= need for key, need in zip(KEYS, needs, strict=False))


def test_what_is_left_goes_by_needs() -> None:
    assert share_out({KEYS[0]: 10, KEYS[1]: 30}, 80) == {KEYS[0]: 20, KEYS[1]: 60}
    assert share_out({KEYS[0]: 10, KEYS[1]: 30}, 20) == {KEYS[0]: 5, KEYS[1]: 15}


def test_where_one_does_not_say_what_it_needs_nothing_is_shared() -> None:
    assert share_out({KEYS[0]: 10, KEYS[1]: 0}, 80) == {}
    assert share_out({}, 80) == {}


def compiled(*stages: tuple[str, str, int], outside: int = 0, context: int = 0) -> CompiledPlan:
    """Of stages as file, lane and bytes."""
    plan = Plan(
        name="made up",
        graph="g",
        stages=tuple(
            Stage(nodes=(index,), lanes=(lane,), arena_bytes=nbytes) for index, (_, lane, nbytes) in enumerate(stages)
        ),
        predicted_seconds=1,
        gpu_bytes=GpuBytes(context=context),
        outside_bytes=outside,
    )
    files = tuple(StageFile(Path(file), (), (), Ports((), ()), 0, ()) for file, _, _ in stages)
    return CompiledPlan(plan, files, (), (), {}, 0)


def by_name(found: dict) -> dict[tuple[str, str], int]:
    return {(str(key.part), key.lanes[0]): nbytes for key, nbytes in found.items()}


def test_stages_alike_on_one_lane_are_one_session_and_the_host_takes_nothing() -> None:
    plan = compiled(("a", GPU, 100), ("b", HOST, 0), ("a", GPU, 100), ("a", OTHER, 100), outside=50, context=30)
    assert by_name(arena_budgets([plan], 480)) == {("a", GPU): 200, ("a", OTHER): 200}


def test_plans_side_by_side_share_the_context_and_the_sessions_that_are_the_same() -> None:
    one = compiled(("a", GPU, 100), ("b", GPU, 40), outside=10, context=30)
    other = compiled(("a", GPU, 60), ("c", GPU, 60), outside=20, context=30)
    found = by_name(arena_budgets([one, other], 260))
    assert found == {("a", GPU): 100, ("b", GPU): 40, ("c", GPU): 60}


class Limits:
    """What sessions on the emulated accelerator were told that they may take."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[int | None] = []
        compile_ = OnnxRuntime.compile

        def told(engine, path, site, options):
            self.told.append(site.limit)
            return compile_(engine, path, site, options)

        monkeypatch.setattr(OnnxRuntime, "compile", told)


def served(folder: Path, arena: int, budget: str | None) -> PlannedModel:
    """A model node by node over both lanes of the accelerator, each session with `arena` bytes of its own."""
    planned = Planned(find(CASE).build(), folder, SHAPES, None, ["emulated:0"])
    cut = each_node(planned.graph, [(GPU,), (OTHER,)])
    made = Planned(planned.path, folder / "cut", SHAPES, cut, ["emulated:0"], GpuBytes(weights=1000, context=200))
    plan = made.plan_file.buckets[0].plans[0]
    stages = tuple(stage.model_copy(update={"arena_bytes": arena}) for stage in plan.stages)
    plan = plan.model_copy(update={"stages": stages, "outside_bytes": 300})
    slo = SLO.parse({"gpuMemory": budget} if budget else {}, "slo")
    return PlannedModel(made.normalised, plan_file(made.path, [plan], SHAPES, ["emulated:0"]), slo=slo)


def test_sessions_that_serve_keep_to_the_budget_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(monkeypatch)
    served(tmp_path, 700, "1Mi").close()
    assert len(limits.told) > 2
    room = (1 << 20) - 200 - 300
    assert room - len(limits.told) <= sum(filter(None, limits.told)) <= room


def test_without_a_prediction_each_may_take_what_the_context_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = Limits(monkeypatch)
    monkeypatch.setattr(EmulatedMemory, "context_bytes", 4096)
    served(tmp_path, 0, "1Mi").close()
    assert set(limits.told) == {(1 << 20) - 4096}


def test_without_a_budget_nothing_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(monkeypatch)
    served(tmp_path, 700, None).close()
    assert set(limits.told) == {None}
