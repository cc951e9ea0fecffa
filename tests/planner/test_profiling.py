"""Profiling real nodes on real devices; no figure is asserted, only that there is one for everything."""

import os

import pytest

from chrion_api import Optimization, Profile
from chrion_graph.limits import Limits
from chrion_graph.signature import signatures
from chrion_planner.planner import PlanningSettings, make_profile
from chrion_runtime.errors import DeviceUnavailable

GRU = "gru-bidirectional-l2-h16-s8-b2"
STACK = "gru-forward-l2-h64-s32-b1"
LANES = min(2, len(os.sched_getaffinity(0)))


@pytest.fixture(scope="module")
def profile(prepared_case) -> Profile:
    settings = PlanningSettings(devices=("cpu", "emulated:0"), cpu_lanes=LANES, limits=Limits(seconds=120))
    return make_profile(prepared_case(STACK), settings)


def test_every_node_of_every_variant_has_a_cost_on_every_device(prepared_case, profile):
    for variant in prepared_case(STACK).buckets[0].variants:
        for device in profile.devices:
            for signature in signatures(variant.bucket.graph, variant.bucket.shapes):
                assert device.nodes[signature].seconds > 0
            for level in Optimization:
                assert device.whole(variant.bucket.graph.digest, variant.bucket.inputs, 1, level.options) > 0


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


def test_a_profile_that_is_out_of_time_has_a_cost_for_every_node_all_the_same(prepared_case):
    prepared = prepared_case(GRU)
    profile = make_profile(prepared, PlanningSettings(cpu_lanes=1, limits=Limits(seconds=120), timeout_seconds=0))
    for variant in prepared.buckets[0].variants:
        for signature in signatures(variant.bucket.graph, variant.bucket.shapes):
            assert profile.device("cpu").nodes[signature].seconds > 0
