"""Measuring contenders, and the frontier that comes of it."""

import time
from dataclasses import dataclass

import numpy as np
import pytest

from chrion_api import SLO, GpuBytes, Mode, Profile, Quantity
from chrion_graph.limits import Limits
from chrion_graph.signature import signatures
from chrion_planner import reference
from chrion_planner.errors import ProfileMismatch
from chrion_planner.measured_frontier import _worth_measuring
from chrion_planner.measuring import SessionContender, contender, contest, ratios
from chrion_planner.measuring.contender import turn
from chrion_planner.partition import Budget
from chrion_planner.planner import find_candidates, measured_plans, predicted_plans
from chrion_planner.settings import PlanningSettings
from chrion_runtime.choice.selection import select

GRU = "gru-bidirectional-l2-h16-s8-b2"
LIMITS = Limits(seconds=60)


@dataclass(frozen=True)
class Broken:
    """A contender that cannot be loaded."""

    name: str = "broken"
    needs_address_space: bool = False

    def load(self):
        raise MemoryError


def run_contest(contenders, rounds=3, deadline=float("inf"), loading=1):
    return contest(
        contenders,
        LIMITS,
        rounds=rounds,
        turn_seconds=0.01,
        deadline=deadline,
        progress=lambda what, done: None,
        loading=loading,
    )


def test_contenders_are_measured_in_turn_and_their_answers_kept(prepared_case):
    prepared = prepared_case(GRU)
    feeds = prepared.buckets[0].feeds
    one, two = run_contest([SessionContender(name, prepared.model, feeds, threads=1) for name in ("one", "two")])
    assert [len(result.rounds) for result in (one, two)] == [3, 3]
    assert all(np.array_equal(one.outputs[name], two.outputs[name]) for name in one.outputs)


def test_a_contender_that_fails_says_why_and_disturbs_no_other(prepared_case):
    prepared = prepared_case(GRU)
    broken, fine = run_contest([Broken(), SessionContender("fine", prepared.model, prepared.buckets[0].feeds)])
    assert "memory" in broken.error
    assert not broken.rounds
    assert len(fine.rounds) == 3


def test_contenders_that_are_loaded_at_once_keep_their_results(prepared_case):
    prepared = prepared_case(GRU)
    feeds = prepared.buckets[0].feeds
    fine = [SessionContender(name, prepared.model, feeds, threads=1) for name in ("one", "two")]
    one, broken, two = run_contest([fine[0], Broken(), fine[1]], loading=2)
    assert [(result.name, len(result.rounds)) for result in (one, broken, two)] == [
        ("one", 3),
        ("broken", 0),
        ("two", 3),
    ]
    assert "memory" in broken.error


def test_the_eliminated_leave_and_latecomers_share_the_rounds_that_are_left(prepared_case):
    prepared = prepared_case(GRU)
    feeds = prepared.buckets[0].feeds
    names = ("stays", "leaves", "comes", "stays away")
    asked = []

    class Asked:
        def eliminates(self, index, results):
            asked.append((index, [len(result.rounds) for result in results]))
            return names[index] in ("leaves", "stays away")

        def decided(self, results):
            return len(results[0].rounds) == 4

    results = contest(
        [SessionContender(name, prepared.model, feeds, threads=1) for name in names],
        LIMITS,
        rounds=9,
        turn_seconds=0.01,
        deadline=float("inf"),
        progress=lambda what, done: None,
        latecomers=2,
        referee=Asked(),
    )
    assert asked[0] == (0, [2, 2, 0, 0])
    assert [[bool(runs) for runs in result.rounds] for result in results] == [
        [True] * 4,
        [True] * 2,
        [False, False, True, True],
        [False, False],
    ]
    assert [result.eliminated for result in results] == [False, True, False, True]
    assert len(ratios(results[0].rounds, results[2].rounds)) == 2
    assert not results[3].outputs, "it was never loaded"


def test_no_round_begins_after_the_deadline(prepared_case):
    prepared = prepared_case(GRU)
    (result,) = run_contest(
        [SessionContender("late", prepared.model, prepared.buckets[0].feeds)], rounds=50, deadline=time.monotonic()
    )
    assert len(result.rounds) == 1


class Spinning:
    """A contender whose threads spin on for a while after each run, and the clock that says so."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.left = seconds, 0.0
        self.now = self.worked = 0.0

    def run(self):
        self.now, self.worked, self.left = self.now + 1e-3, self.worked + 1e-3, self.seconds

    def sleep(self, seconds):
        busy = min(seconds, self.left)
        self.now, self.worked, self.left = self.now + seconds, self.worked + busy, self.left - busy

    def perf_counter(self):
        return self.now

    def process_time(self):
        return self.worked


@pytest.mark.parametrize(("seconds", "idles"), [(0.0, True), (0.06, True), (60.0, False)])
def test_a_turn_ends_when_its_contender_idles_or_never_will(monkeypatch, seconds, idles):
    """Else its spinning threads would take the next contender's cores."""
    spinning = Spinning(seconds)
    monkeypatch.setattr(contender, "time", spinning)
    monkeypatch.setattr(contender, "_runner", spinning)
    assert len(turn(0.02, 3).runs) >= 3
    assert (spinning.left == 0) == idles
    assert spinning.now < 1, "no longer than is worth waiting"


def test_idle_gaps_are_part_of_a_turn_but_of_no_run(monkeypatch):
    spinning = Spinning(0.0)
    monkeypatch.setattr(contender, "time", spinning)
    monkeypatch.setattr(contender, "_runner", spinning)
    runs = turn(0.06, 3, idle=0.005).runs
    assert runs == pytest.approx([1e-3] * 10)


@pytest.fixture(scope="module")
def measured(prepared_case, made_up_profile, in_haste):
    prepared = prepared_case(GRU)
    profile = made_up_profile(prepared, cpu_lanes=1, accelerator="emulated:0")
    budget = Budget(search_work=50_000, tasks=0)
    settings = PlanningSettings(devices=("cpu", "emulated:0"), cpu_lanes=1, limits=LIMITS, budget=budget)
    with pytest.MonkeyPatch.context() as monkeypatch:
        in_haste(monkeypatch)
        return measured_plans(prepared, profile, settings)


def test_a_measured_frontier_has_figures_and_baselines(measured):
    (frontier,) = measured.buckets
    assert [item.name for item in frontier.baselines] == ["onnxruntime-default", "onnxruntime-1-thread"]
    assert all(plan.measured is not None for plan in frontier.plans)
    assert "cpu-1-lane" in {candidate.name for candidate in frontier.candidates}
    nbytes = [plan.gpu_bytes.total for plan in frontier.plans]
    assert nbytes == sorted(nbytes, reverse=True)
    assert nbytes[-1] == 0, "everything on the CPU is always a candidate"


def test_a_budget_of_no_gpu_memory_is_kept(measured):
    (frontier,) = measured.buckets
    assert select(frontier, SLO(gpu_memory=Quantity("0")), Mode.LATENCY).plan.gpu_bytes == GpuBytes()


def test_time_that_runs_out_marks_the_plan_truncated(prepared_case, made_up_profile, in_haste, monkeypatch):
    in_haste(monkeypatch)
    prepared = prepared_case(GRU)
    settings = PlanningSettings(cpu_lanes=1, limits=LIMITS, timeout_seconds=0.001)
    found = measured_plans(prepared, made_up_profile(prepared, cpu_lanes=1), settings)
    assert found.truncated
    assert not predicted_plans(prepared, made_up_profile(prepared, cpu_lanes=1), Budget()).truncated


def test_what_people_would_use_instead_is_always_measured(prepared_case, made_up_profile, in_haste, monkeypatch):
    in_haste(monkeypatch)
    prepared = prepared_case(GRU)
    profile = made_up_profile(prepared, cpu_lanes=1)
    wholes = tuple(
        whole.model_copy(update={"seconds": whole.seconds / 2}) if not whole.options else whole
        for whole in profile.devices[0].wholes
    )
    plain_is_faster = Profile(
        model=profile.model, devices=(profile.devices[0].model_copy(update={"wholes": wholes}),), transfers=()
    )
    (found,) = find_candidates(prepared, plain_is_faster, Budget())
    assert {"cpu-1-lane", "cpu-1-lane-plain"} <= {plan.name for plan in _worth_measuring(found.plans)}


def test_a_round_that_something_disturbs_is_run_again_and_counts_once(prepared_case, monkeypatch):
    prepared = prepared_case(GRU)
    feeds = prepared.buckets[0].feeds
    calm, disturbed = reference.Look(0.0, 1.0), reference.Look(0.5, 1.0)
    said = [calm, calm, disturbed, calm, calm, calm]
    monkeypatch.setattr(reference, "look", lambda lanes: said.pop(0) if len(said) > 1 else said[0])
    told = []
    results = contest(
        [SessionContender(name, prepared.model, feeds, threads=1) for name in ("one", "two")],
        LIMITS,
        rounds=3,
        turn_seconds=0.01,
        deadline=float("inf"),
        progress=lambda what, done: told.append(what),
        reference=reference.ReferenceRuns(1, float("inf")),
    )
    assert [len(result.rounds) for result in results] == [3, 3]
    assert told.count("measuring one") == told.count("measuring two") == 4


def test_progress_is_that_of_all_and_never_goes_back(prepared_case, made_up_profile, in_haste, monkeypatch):
    in_haste(monkeypatch)
    prepared = prepared_case(GRU)
    told = []
    settings = PlanningSettings(cpu_lanes=1, limits=LIMITS, progress=lambda what, done: told.append((what, done)))
    measured_plans(prepared, made_up_profile(prepared, cpu_lanes=1), settings)
    parts = [done for _, done in told]
    assert parts == sorted(parts)
    assert 0 <= parts[0] <= parts[-1] < 1
    assert told[0][0].startswith("searching: ")
    assert all(": " in what for what, _ in told)


def test_graphs_that_the_profile_had_no_time_for_are_left_out(prepared_case, made_up_profile, in_haste, monkeypatch):
    in_haste(monkeypatch)
    prepared = prepared_case(GRU)
    (device,) = (whole := made_up_profile(prepared, cpu_lanes=1)).devices
    original = prepared.buckets[0].variants[0].bucket
    known = set(signatures(original.graph, original.shapes))
    nodes = {name: cost for name, cost in device.nodes.items() if name in known}
    assert len(nodes) < len(device.nodes)
    partly = whole.model_copy(update={"devices": (device.model_copy(update={"nodes": nodes}),)})
    for profile, rewritten in ((partly, False), (whole.model_copy(update={"devices": ()}), False), (whole, True)):
        found = measured_plans(prepared, profile, PlanningSettings(cpu_lanes=1, limits=LIMITS))
        assert found.truncated == (profile is not whole)
        (frontier,) = found.buckets
        assert any("+" in candidate.name for candidate in frontier.candidates) == rewritten
        assert all(candidate.predicted_seconds > 0 for candidate in frontier.candidates if candidate.measured)
        assert found.devices["cpu"].product
    (found,) = find_candidates(prepared, partly, Budget())
    assert found.truncated
    assert not any(plan.rewrites for plan in found.plans)
    with pytest.raises(ProfileMismatch, match="profile again"):
        find_candidates(
            prepared, whole.model_copy(update={"devices": (device.model_copy(update={"nodes": {}}),)}), Budget()
        )
