"""Small models, prepared for planning, and profiles that were made up instead of measured."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import onnx
import pytest

from chrion_api import DeviceKey, DeviceProfile, InputSpec, NodeCost, Optimization, Plan, Profile, Transfer, Whole
from chrion_graph.limits import Limits
from chrion_graph.normalise import normalise
from chrion_graph.signature import signatures
from chrion_models.families import find
from chrion_planner import measured_frontier
from chrion_planner.candidates import candidates
from chrion_planner.partition import Budget
from chrion_planner.prepare import Prepared, prepare

MICRO = 1e-6
SECONDS = {"GRU": 500 * MICRO, "LSTM": 800 * MICRO, "RNN": 300 * MICRO}


@pytest.fixture(scope="session")
def prepared_case(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Prepared]:
    """Prepares a case of the families by its name."""
    known: dict[str, Prepared] = {}

    def build(name: str) -> Prepared:
        if name not in known:
            case = find(name)
            folder = tmp_path_factory.mktemp("prepared")
            onnx.save(case.build(), folder / "source.onnx")
            specs = [InputSpec(name=key, shape=shape, value=case.fills.get(key)) for key, shape in case.inputs.items()]
            known[name] = _prepared(folder / "source.onnx", specs)
        return known[name]

    return build


@pytest.fixture(scope="session")
def prepared_file() -> Callable[[Path, list[InputSpec]], Prepared]:
    """Prepares a model's file, normalised beside it."""
    return _prepared


def _prepared(model: Path, specs: list[InputSpec]) -> Prepared:
    limits = Limits(seconds=60)
    folder = model.parent / "normalised"
    return prepare(model, normalise(model, folder, limits), folder, specs, limits)


@pytest.fixture(scope="session")
def in_haste() -> Callable[[pytest.MonkeyPatch], None]:
    """`in_haste(monkeypatch)`: few plans are measured, each a few times."""

    def shorten(monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in {"MEASURED_PLANS": 4, "_ROUNDS": 3, "_FINAL_ROUNDS": 3, "_TURN_SECONDS": 0.01}.items():
            monkeypatch.setattr(measured_frontier, name, value)

    return shorten


@pytest.fixture(scope="session")
def made_up_profile() -> Callable[..., Profile]:
    """A profile in which recurrent nodes cost much and others little; the accelerator is `speed` times as fast."""

    def build(prepared: Prepared, cpu_lanes: int = 2, accelerator: str = "", speed: float = 4.0) -> Profile:
        devices = [_device(prepared, "cpu", cpu_lanes, 1.0)]
        transfers = []
        if accelerator:
            devices.append(_device(prepared, accelerator, 1, speed))
            transfers = [
                Transfer(source=source, target=target, latency_seconds=5 * MICRO, bytes_per_second=10e9)
                for source, target in (("cpu", accelerator), (accelerator, "cpu"))
            ]
        return Profile(model=prepared.digest, devices=tuple(devices), transfers=tuple(transfers))

    return build


@pytest.fixture(scope="session")
def candidates_of(
    prepared_case: Callable[[str], Prepared], made_up_profile: Callable[..., Profile]
) -> Callable[[str], tuple[Plan, ...]]:
    """The candidate plans of a case, by its name, on two lanes of a CPU."""

    @cache
    def build(name: str) -> tuple[Plan, ...]:
        prepared = prepared_case(name)
        budget = Budget(search_work=50_000, tasks=0)
        return candidates(prepared.buckets[0].variants, made_up_profile(prepared), budget).plans

    return build


def _device(prepared: Prepared, name: str, lanes: int, speed: float) -> DeviceProfile:
    nodes: dict[str, NodeCost | None] = {}
    wholes = []
    for bucket in prepared.buckets:
        for variant in bucket.variants:
            graph, shapes = variant.bucket.graph, variant.bucket.shapes
            total = 0.0
            for index, signature in enumerate(signatures(graph, shapes)):
                seconds = SECONDS.get(graph.nodes[index].op_type, 5 * MICRO) / speed
                if "/forward" in str(graph.writes[index]) or "/reverse" in str(graph.writes[index]):
                    seconds /= 2
                nodes[signature] = NodeCost(seconds=seconds, bytes=0 if name == "cpu" else graph.constant_bytes(index))
                total += seconds
            inputs = dict(variant.bucket.inputs)
            wholes += [
                Whole(graph=graph.digest, inputs=inputs, lanes=1, optimization=level, seconds=total)
                for level in Optimization
            ]
    return DeviceProfile(
        name=name,
        key=DeviceKey(product=f"made-up {name}", cores=lanes, onnxruntime="1.31.1"),
        lanes=lanes,
        hop_seconds=5 * MICRO,
        handoff_seconds=30 * MICRO,
        nodes=dict(sorted(nodes.items())),
        wholes=tuple(wholes),
    )
