"""Profiling real nodes on real devices; no figure is asserted, only that there is one for everything."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from chrion_api import Optimization, Profile
from chrion_graph.limits import Limits
from chrion_graph.signature import signatures
from chrion_planner.planner import make_profile
from chrion_planner.profiling import Known
from chrion_planner.reference import Look
from chrion_planner.settings import PlanningSettings
from chrion_runtime.errors import DeviceUnavailable
from tests.support.profiling_here import EVERYTHING, profiling_here

GRU = "gru-bidirectional-l2-h16-s8-b2"
STACK = "gru-forward-l2-h64-s32-b1"
LIMITS = Limits(seconds=120)
LANES = min(2, len(os.sched_getaffinity(0)))


@pytest.fixture(scope="module")
def profile(prepared_case) -> Profile:
    settings = PlanningSettings(devices=("cpu", "emulated:0"), cpu_lanes=LANES, limits=LIMITS)
    return make_profile(prepared_case(STACK), settings)


def test_every_node_of_every_variant_has_a_cost_on_every_device(prepared_case, profile):
    for variant in prepared_case(STACK).buckets[0].variants:
        for device in profile.devices:
            for signature in signatures(variant.bucket.graph, variant.bucket.shapes):
                assert device.nodes[signature].seconds > 0
            for level in Optimization:
                whole = device.whole(variant.bucket.graph.digest, variant.bucket.inputs, 1, level.options)
                assert bool(whole) == (level is Optimization.ALL or not variant.rewrites)


def test_several_may_profile_one_model_at_once(prepared_case):
    """As two commands do that plan it: they share its folder in the cache."""
    prepared, settings = prepared_case(GRU), PlanningSettings(cpu_lanes=1, limits=LIMITS)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: make_profile(prepared, settings).device("cpu"), range(3)))
    assert len({frozenset(device.nodes) for device in found}) == 1


def test_only_the_device_with_a_memory_of_its_own_takes_bytes(profile):
    assert all(cost.bytes == 0 for cost in profile.device("cpu").nodes.values())
    assert any(cost.bytes > 0 for cost in profile.device("emulated:0").nodes.values())


def test_copies_are_measured_both_ways(profile):
    assert {(item.source, item.target) for item in profile.transfers} == {("cpu", "emulated:0"), ("emulated:0", "cpu")}


def test_it_survives_a_round_trip(profile):
    assert Profile.from_json(profile.to_json()) == profile


def test_a_device_that_is_not_there_is_named(prepared_case):
    with pytest.raises(DeviceUnavailable, match="cuda:0"):
        make_profile(prepared_case(GRU), PlanningSettings(devices=("cuda:0",), limits=Limits(seconds=60)))


def test_costs_of_lanes_and_caches_are_measured(profile):
    device = profile.device("cpu")
    assert device.hop_seconds > 0
    assert device.launch_seconds >= 0
    assert device.handoff_seconds >= 0
    assert LANES > 1 or not device.handoff_seconds
    assert [point.bytes for point in device.cache] == sorted(point.bytes for point in device.cache)
    for cost in device.nodes.values():
        assert (cost.wide_seconds is None) == (cost.crowded_seconds is None)


def test_a_profile_that_is_out_of_time_lacks_what_was_not_measured(prepared_case):
    profile = make_profile(prepared_case(GRU), PlanningSettings(cpu_lanes=1, limits=LIMITS, timeout_seconds=0))
    assert not profile.devices


class Kept:
    """Figures in memory."""

    found: Known | None = None

    def read(self, key, lanes):
        return self.found

    def keep(self, found):
        assert self.found is None or found.device.key == self.found.device.key
        self.found = self.found.joined(found) if self.found else found


def test_what_is_known_of_a_device_is_not_measured_again(prepared_case, monkeypatch):
    kept, measured = Kept(), profiling_here(monkeypatch)

    def profile(name):
        measured.clear()
        settings = PlanningSettings(cpu_lanes=LANES, limits=LIMITS, figures=kept)
        return make_profile(prepared_case(name), settings).device("cpu")

    first = profile(STACK)
    assert set(measured) == EVERYTHING
    assert profile(STACK) == first
    assert not measured
    other = profile(GRU)
    assert "calibrated" not in measured
    assert measured.count("node_cost") == len(other.nodes.keys() - first.nodes.keys())
    assert profile(STACK) == first, "what was learned of another model is beside it"


def test_figures_of_a_machine_that_was_faster_are_measured_anew(prepared_case, monkeypatch):
    kept, measured = Kept(), profiling_here(monkeypatch)
    settings = PlanningSettings(cpu_lanes=LANES, limits=LIMITS, figures=kept)
    make_profile(prepared_case(GRU), settings)
    kept.found = kept.found.model_copy(update={"reference_seconds": 0.8})
    measured.clear()
    make_profile(prepared_case(GRU), settings)
    assert "node_cost" in measured


def test_figures_of_a_machine_that_was_faster_are_not_joined_with_others(prepared_case, monkeypatch):
    kept = Kept()
    profiling_here(monkeypatch)
    make_profile(prepared_case(GRU), PlanningSettings(cpu_lanes=LANES, limits=LIMITS, figures=kept))
    bare = kept.found.model_copy(update={"device": kept.found.device.model_copy(update={"nodes": {}, "wholes": ()})})
    assert bare.joined(kept.found) == kept.found == kept.found.joined(bare)
    slower = bare.model_copy(update={"reference_seconds": 1.3})
    assert kept.found.joined(slower) == slower


def test_figures_that_something_disturbed_are_not_kept(prepared_case, monkeypatch):
    profiling_here(monkeypatch, Look(lost=0.5, seconds=1.0))
    kept, said = Kept(), []
    settings = PlanningSettings(cpu_lanes=1, limits=LIMITS, figures=kept, warn=said.append)
    profile = make_profile(prepared_case(GRU), settings)
    assert profile.device("cpu").tainted
    assert kept.found is None
    assert said == [f"profile of cpu: {profile.device('cpu').tainted}"]
