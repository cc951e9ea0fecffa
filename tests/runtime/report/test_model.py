"""What a report says of buckets and timelines."""

import pytest

from chrion_api import Frontier, Plan
from chrion_runtime.report.model.bucket import BucketReport
from chrion_runtime.report.model.timeline import Timeline
from tests.support.plan_files import latency, stage, untimed, with_gpu


def test_the_stairs_leave_out_beaten_plans():
    plans = with_gpu().buckets[0].plans
    beaten = plans[1].model_copy(update={"measured": latency(9)})
    frontier = Frontier(inputs={}, plans=(plans[0], beaten, plans[2]))
    stairs = BucketReport(frontier).stairs
    assert [nbytes for _, nbytes in stairs] == [
        plans[0].gpu_bytes.total,
        plans[2].gpu_bytes.total,
    ]


def test_a_frontier_without_baselines_has_no_speed_up():
    (entry,) = BucketReport(untimed().buckets[0]).rows
    assert entry.speedup is None
    assert entry.off is None


def test_of_plans_of_one_name_one_is_in_use():
    plans = with_gpu().buckets[0].plans[:2]
    same = plans[1].model_copy(update={"name": plans[0].name})
    rows = BucketReport(Frontier(inputs={}, plans=(plans[0], same)), same.model_copy()).rows
    assert [row.in_use for row in rows] == [False, True]


def test_lanes_that_overlap_are_not_busy_twice():
    stages = (stage((0,), ("cpu/0",), 0, 2), stage((1,), ("cpu/0",), 1, 3), stage((2,), ("cpu/1",), 0, 4))
    timeline = Timeline(Plan(name="a", graph="", stages=stages, predicted_seconds=4e-3))
    assert [use.busy for use in timeline.uses] == pytest.approx([3e-3, 4e-3])
    assert timeline.idle == pytest.approx(1e-3)
