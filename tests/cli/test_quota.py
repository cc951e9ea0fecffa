"""A container's CPU quota decides how many lanes a ChrionModel is planned for."""

import pytest

from chrion.planning import PlanningTask
from chrion_api import ChrionModelSpec
from chrion_runtime.devices import cpu
from chrion_runtime.errors import DeviceUnavailable


@pytest.fixture(params=["cpu.max", "cpu/cpu.cfs_quota_us"])
def quota_of_one(request, tmp_path, monkeypatch):
    """One core of more, as cgroups say it in their second version and in their first."""
    (tmp_path / "cpu").mkdir()
    if request.param == "cpu.max":
        (tmp_path / "cpu.max").write_text("100000 100000\n")
    else:
        (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("50000\n")
        (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    monkeypatch.setattr(cpu, "CGROUP", tmp_path)
    monkeypatch.setattr(cpu.os, "sched_getaffinity", lambda _: set(range(8)))
    cpu.usable_cores.cache_clear()
    yield
    cpu.usable_cores.cache_clear()


def job(tmp_path, lanes):
    data = {"model": {"uri": "s3://models/m.onnx"}, "devices": {"gpuResource": "", "cpuLanes": lanes}}
    return PlanningTask.of(ChrionModelSpec.parse(data), tmp_path / "model.onnx")


@pytest.mark.usefixtures("quota_of_one")
def test_one_core_is_one_lane(tmp_path):
    assert job(tmp_path, 0).settings().cpu_lanes == 1
    assert job(tmp_path, 1).settings().cpu_lanes == 1
    with pytest.raises(DeviceUnavailable, match="may use at most 1"):
        job(tmp_path, 2).settings()
