"""Plans made offline from the profiles in bench/profiles, and the placement that they are held against."""

from itertools import pairwise
from math import inf
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

from chrion import planning
from chrion_api import SLO, Mode, Profile
from chrion_bench.memory import beats
from chrion_bench.modelled import H100, NAME
from chrion_bench.placement import Point, placed, placements
from chrion_bench.profiles import MODELS, Recorded, recorded, together
from chrion_bench.suite import suite
from chrion_planner.partition import Lane, Link, Problem
from chrion_runtime.choice.selection import select

RECORDED = list(recorded())
ENTRIES = {entry.name: entry for entry in suite()}
QUICK = "gru-bidirectional"
"""Models with this in their name plan in seconds; others take half a minute each."""
EVERY = pytest.mark.parametrize("found", RECORDED, ids=lambda found: found.name)
PLANNED = pytest.mark.parametrize(
    "found",
    [pytest.param(found, id=found.name, marks=() if QUICK in found.model else pytest.mark.slow) for found in RECORDED],
)


def load(found: Recorded, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[planning.PlanningTask, Profile]:
    monkeypatch.setenv("CHRION_CACHE", str(folder / "cache"))
    entry = ENTRIES[found.model]
    entry.write(folder / "model.onnx")
    return planning.PlanningTask(folder / "model.onnx", entry.inputs), found.profile


def of(name: str) -> Recorded:
    return next(found for found in RECORDED if found.name == name)


def test_every_model_has_both() -> None:
    assert {f"{name}.{kind}" for name in MODELS for kind in ("cpu", "modelled-h100")} <= {one.name for one in RECORDED}


def test_profiles_of_several_models_are_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profiles = {found.model: found.profile for found in RECORDED if found.file.name.endswith(".cpu.json")}
    (tmp_path / "a-gpu.json").write_text(together(profiles))
    assert {found.name: found.profile for found in recorded(tmp_path)} == {
        f"{model}.a-gpu": profile for model, profile in profiles.items()
    }
    most = max(len(profile.to_json()) for profile in profiles.values())
    monkeypatch.setattr("chrion_bench.profiles.MOST_BYTES", most)
    (tmp_path / "a-gpu.json").write_text(together(profiles))
    assert 1 <= len(list(recorded(tmp_path))) < len(profiles), "as many as fit"


@PLANNED
def test_plans_offline(found: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (frontier,) = planning.plan_from_profile(*load(found, tmp_path, monkeypatch)).buckets
    points = [(plan.gpu_bytes.total, plan.predicted_seconds) for plan in frontier.plans]
    for (larger, faster), (smaller, slower) in pairwise(points):
        assert smaller < larger
        assert slower > faster
    assert points[-1][0] == 0, "all on the CPU is always there"
    for budget, seconds in points:
        chosen = select(frontier, SLO.from_json(f'{{"gpuMemory": "{budget}"}}'), Mode.LATENCY).plan
        assert chosen.gpu_bytes.total <= budget
        assert chosen.predicted_seconds == seconds


@EVERY
def test_the_modelled_gpu_says_what_it_is(found: Recorded) -> None:
    products = {device.name: device.key.product for device in found.profile.devices}
    assert ("modelled" in found.name) == (products.get(NAME) == H100.product == "modelled H100")
    assert "modelled" not in products["cpu"]


def test_placement_sweeps_from_some_nodes_to_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job, profile = load(of("lstm-forward-l2-h256-s32-b8.modelled-h100"), tmp_path, monkeypatch)
    bucket = job.prepare().buckets[0].variants[0].bucket
    points = placements(bucket, profile, NAME, 20)
    assert len(points) >= 2, "one layer, and both"
    assert all(more.bytes > less.bytes for less, more in pairwise(points))
    weights = sum(
        tensor.dims[1] * tensor.dims[2] * 4 for tensor in bucket.graph.constants.values() if len(tensor.dims) == 3
    )
    assert points[-1].bytes > 2 * weights, "recurrent weights count twice, and values on top"
    # A chain all on the GPU takes its nodes' time and the copies of request and answer.
    whole = profile.device(NAME).wholes[0].seconds
    assert whole < points[-1].seconds < whole + 1e-4


def problem(gpu: list[float], memory: list[int]) -> Problem:
    tasks: Any = nx.path_graph(len(gpu), create_using=nx.DiGraph)
    nx.set_edge_attributes(tasks, 8, "bytes")
    nothing = [0] * len(gpu)
    link = Link(1.0, 8.0)
    return Problem(
        tasks=tasks,
        seconds={"cpu": [1.0] * len(gpu), NAME: gpu},
        lanes=(Lane("cpu/0", "cpu"), Lane(f"{NAME}/0", NAME)),
        host_in=nothing,
        host_out=nothing,
        hop={"cpu": 0.0, NAME: 0.0},
        handoff={"cpu": 0.0, NAME: 0.0},
        links={("cpu", NAME): link, (NAME, "cpu"): link},
        memory={NAME: memory},
    )


def test_placement_stops_at_the_first_node_that_does_not_fit() -> None:
    assert placed(problem([1.0] * 4, [3, 4, 1, 1]), NAME, 5) == {0}, "not the small ones behind it"
    assert placed(problem([1.0] * 4, [3, 4, 1, 1]), NAME, 9) == {0, 1, 2, 3}


def test_placement_passes_over_what_the_gpu_cannot_run() -> None:
    assert placed(problem([1.0, inf, 1.0], [3, 9, 1]), NAME, 4) == {0, 2}


def test_better_in_one_and_no_worse_in_the_other() -> None:
    point = Point(1.0, 10)
    assert beats(Point(1.0, 9), point)
    assert beats(Point(0.9, 10), point)
    assert not beats(point, point)
    assert not beats(Point(0.5, 11), point)
    assert not beats(Point(1.1, 1), point)
