"""Plans and profiles: round trips, compact node ranges, and what is refused."""

import json
from pathlib import Path
from typing import Any, TypeVar

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chrion_api import (
    DeviceKey,
    DeviceProfile,
    Document,
    Frontier,
    GpuBytes,
    InvalidField,
    Latency,
    NodeCost,
    Optimization,
    Plan,
    PlanFile,
    Profile,
    Rewrite,
    Stage,
    Transfer,
    Whole,
)

DIGEST = "a" * 64
SCHEMA_1 = json.loads((Path(__file__).parents[1] / "support" / "data" / "plan-version-1.schema.json").read_text())
"""What the first version of the format allows, as those who know only that read it."""

Kind = TypeVar("Kind", bound=Document)


def built(kind: type[Kind], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Kind]:
    """`st.builds`, which would add a value for each alias, without that."""
    return st.fixed_dictionaries(fields).map(lambda values: kind(**values))


seconds = st.floats(1e-9, 1e6)
counts = st.integers(0, 2**50)
shapes = st.lists(st.integers(0, 10**6), max_size=4).map(tuple)
names = st.text(min_size=1, max_size=8)
node_sets = st.frozensets(st.integers(0, 20_000), max_size=60).map(lambda nodes: tuple(sorted(nodes)))
keys = built(DeviceKey, product=names, cores=st.integers(1, 512), onnxruntime=names)
stages = built(
    Stage,
    nodes=node_sets,
    lanes=st.lists(st.sampled_from(["cpu/0", "cpu/1", "cuda:0/0"]), min_size=1, unique=True).map(tuple),
    optimization=st.sampled_from(Optimization),
    operators=st.dictionaries(names, counts, max_size=3),
    start_seconds=seconds,
    finish_seconds=seconds,
)
plans = built(
    Plan,
    name=names,
    rewrites=st.lists(built(Rewrite, name=names, parameters=st.just({"nodes": [1, 2]})), max_size=2).map(tuple),
    graph=st.just(DIGEST),
    stages=st.lists(stages, min_size=1, max_size=3).map(tuple),
    predicted_seconds=seconds,
    measured=st.none() | built(Latency, p50=seconds, p90=seconds, p99=seconds, repetitions=st.integers(1, 10**6)),
    gpu_bytes=built(GpuBytes, weights=counts, activations=counts, workspace=counts, context=counts),
)
plan_files = built(
    PlanFile,
    model=st.just(DIGEST),
    devices=st.dictionaries(names, keys, max_size=2),
    buckets=st.lists(
        built(
            Frontier,
            inputs=st.dictionaries(names, shapes, max_size=2),
            plans=st.lists(plans, min_size=1, max_size=2).map(tuple),
            baselines=st.just(()),
        ),
        min_size=1,
        max_size=2,
    ).map(tuple),
    truncated=st.booleans(),
)
profiles = built(
    Profile,
    model=st.just(DIGEST),
    devices=st.lists(
        built(
            DeviceProfile,
            name=names,
            key=keys,
            lanes=st.integers(1, 64),
            hop_seconds=seconds,
            handoff_seconds=seconds,
            context_bytes=counts,
            nodes=st.dictionaries(
                names,
                st.none() | built(NodeCost, seconds=seconds, wide_seconds=st.none() | seconds, bytes=counts),
                max_size=3,
            ),
            wholes=st.lists(
                built(
                    Whole,
                    graph=st.just(DIGEST),
                    inputs=st.dictionaries(names, shapes, max_size=2),
                    lanes=st.integers(1, 64),
                    optimization=st.sampled_from(Optimization),
                    seconds=seconds,
                ),
                max_size=2,
            ).map(tuple),
        ),
        max_size=2,
    ).map(tuple),
    transfers=st.lists(
        built(Transfer, source=names, target=names, latency_seconds=seconds, bytes_per_second=seconds), max_size=2
    ).map(tuple),
)

a_plan = Plan(name="p", graph=DIGEST, stages=(Stage(nodes=(0,), lanes=("cpu/0",)),), predicted_seconds=1e-3)


@settings(deadline=None, max_examples=50)
@given(plan_files)
def test_plan_file_round_trip(file: PlanFile) -> None:
    text = file.to_json()
    again = PlanFile.from_json(text)
    assert again == file
    assert again.to_json() == text


@settings(deadline=None, max_examples=50)
@given(profiles)
def test_profile_round_trip(profile: Profile) -> None:
    text = profile.to_json()
    again = Profile.from_json(text)
    assert again == profile
    assert again.to_json() == text


def test_a_node_that_a_device_cannot_run_stays_null() -> None:
    key = DeviceKey(product="x", cores=1, onnxruntime="1")
    device = DeviceProfile(name="cuda:0", key=key, lanes=1, hop_seconds=0, handoff_seconds=0, nodes={"GRU-1": None})
    again = Profile.from_json(Profile(model=DIGEST, devices=(device,)).to_json())
    assert again.device("cuda:0").nodes == {"GRU-1": None}
    with pytest.raises(KeyError):
        again.device("cpu")


def test_a_plan_never_measured_says_so() -> None:
    file = PlanFile(model=DIGEST, devices={}, buckets=(Frontier(inputs={}, plans=(a_plan,)),))
    assert '"measured": null' in file.to_json()


@settings(deadline=None)
@given(node_sets)
def test_node_ranges_say_every_node_once(nodes: tuple[int, ...]) -> None:
    written = Stage(nodes=nodes, lanes=("cpu/0",)).to_data()["nodes"]
    assert Stage.parse({"nodes": written, "lanes": ["cpu/0"]}).nodes == nodes


def test_node_ranges_are_short() -> None:
    stage = Stage(nodes=(*range(5000), 6000, *range(7000, 10_000)), lanes=("cpu/0",))
    assert stage.to_data()["nodes"] == "0-4999,6000,7000-9999"


@pytest.mark.parametrize(
    "text", ["a", "1-", "-1", "1--2", "1,,2", "1, 2", "٣", "5-3", "3,3", "0-4,4", "0-999999999", "9" * 30, [-1]]
)
def test_node_ranges_refuse(text: Any) -> None:
    with pytest.raises(InvalidField, match=r"^nodes"):
        Stage.parse({"nodes": text, "lanes": ["cpu/0"]})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("version", 3),
        ("model", "abc"),
        ("buckets", []),
        ("buckets[0].plans", []),
        ("buckets[0].plans[0].speed", 1),
        ("buckets[0].plans[0].predictedSeconds", -1),
        ("buckets[0].plans[0].stages[0].lanes", []),
    ],
)
def test_a_damaged_plan_file_is_refused_by_path(path: str, value: Any) -> None:
    data = PlanFile(model=DIGEST, devices={}, buckets=(Frontier(inputs={}, plans=(a_plan,)),)).to_data()
    *steps, last = path.replace("[0]", ".0").split(".")
    target: Any = data
    for step in steps:
        target = target[0] if step == "0" else target[step]
    target[last] = value
    with pytest.raises(InvalidField) as caught:
        PlanFile.parse(data)
    assert caught.value.path == path


def test_latency_is_interpolated_between_percentiles() -> None:
    latency = Latency(p50=1, p90=2, p99=4, repetitions=10)
    assert [latency.at(percentile) for percentile in (1, 50, 70, 90, 94.5, 99, 99.9)] == [1, 1, 1.5, 2, 3, 4, 4]


def test_best_knowledge_of_a_plan() -> None:
    measured = a_plan.model_copy(update={"measured": Latency(p50=2, p90=3, p99=4, repetitions=1)})
    assert (a_plan.seconds, measured.seconds) == (1e-3, 2)
    stages = tuple(Stage(nodes=(), lanes=(lane,)) for lane in ("cuda:0/0", "cpu/1", "cpu/0"))
    assert a_plan.model_copy(update={"stages": stages}).devices == ("cpu", "cuda:0")
    assert GpuBytes(weights=1, activations=2, workspace=3, context=4).total == 10


STAGE = {"nodes": "0", "lanes": ["cpu/0"], "operators": {}, "startSeconds": 0.0, "finishSeconds": 1.0, "arenaBytes": 0}


DEVICE = {"product": "A CPU", "cores": 2, "onnxruntime": "1.31.1", "driver": ""}


def version_1(**stage: Any) -> dict[str, Any]:
    """A plan file as version 1 wrote it."""
    data = PlanFile(model=DIGEST, devices={}, buckets=(Frontier(inputs={}, plans=(a_plan,)),)).to_data()
    data["version"] = 1
    data["devices"] = {"cpu": DEVICE}
    (plan,) = data["buckets"][0]["plans"]
    plan["stages"] = [{**STAGE, **stage}]
    del plan["hostBytes"], plan["error"], data["fallback"]
    return data


@pytest.mark.parametrize(
    ("stage", "options"),
    [
        ({"optimization": "All", "cudaGraph": False}, {"optimization": "All"}),
        ({"optimization": "None", "cudaGraph": True}, {"capture": True}),
        ({"optimization": "None", "cudaGraph": False}, {}),
        ({}, {}),
    ],
)
def test_a_file_of_version_1_is_read(stage: dict[str, Any], options: dict[str, Any]) -> None:
    data = version_1(**stage)
    jsonschema.validate(data, SCHEMA_1)
    found = PlanFile.parse(data)
    (read,) = found.buckets[0].plans[0].stages
    assert (read.engine, read.options) == ("onnxruntime", options)
    assert found.devices["cpu"].engines == {"onnxruntime": "1.31.1"}
    # What differs only by what version 1 could not tell is the same device.
    here = found.devices["cpu"].model_copy(update={"instructions": "avx512"})
    assert not found.devices["cpu"].changed(here, ["onnxruntime"])


def test_a_runtime_of_version_1_refuses_what_is_written_now() -> None:
    found = PlanFile.parse({**version_1(optimization="All"), "version": 2})
    errors = jsonschema.Draft202012Validator(SCHEMA_1).iter_errors(found.to_data())
    assert any("version" in error.path for error in errors)


@pytest.mark.parametrize(
    ("stage", "problem"),
    [
        ({"optimization": "Some"}, 'optimization: "Some" must be All or None'),
        ({"cudaGraph": "yes"}, 'cudaGraph: "yes" must be true or false'),
    ],
)
def test_what_no_version_1_has_is_refused_by_its_name(stage: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidField) as caught:
        PlanFile.parse(version_1(**stage))
    assert caught.value.path == "buckets[0].plans[0].stages[0]"
    assert caught.value.problem.startswith(problem)


def test_what_is_of_version_1_is_written_as_version_2() -> None:
    found = PlanFile.parse(version_1(optimization="All", cudaGraph=True))
    again = found.to_data()
    assert found.version == again["version"] == 2
    assert PlanFile.parse(again) == found


def test_a_mixture_of_versions_is_refused() -> None:
    for data, problem in (
        (version_1(optimization="All", options={"capture": True}), "options: give options, or optimization"),
        ({**version_1(), "devices": {"cpu": {**DEVICE, "engines": {}}}}, "onnxruntime: give its version under"),
    ):
        with pytest.raises(InvalidField) as caught:
            PlanFile.parse(data)
        assert caught.value.problem.startswith(problem)


def test_options_that_change_leave_the_others() -> None:
    stage = Stage(nodes=(0,), lanes=("cpu/0",), options={"n": 0, "z": 0.0, "off": False, "capture": True})
    assert stage.with_options(capture=False, level="").options == {"n": 0, "z": 0.0, "off": False}
    assert stage.with_options(level=0).options["level"] == 0
