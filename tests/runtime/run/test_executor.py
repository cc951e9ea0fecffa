"""The executor answers each request with its own answer: at once, after failures, at any shape and of any kind."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from chrion_api import GpuBytes
from chrion_graph.graph import Graph
from chrion_models.families import find
from chrion_models.inputs import random_inputs
from chrion_runtime.devices import open_devices
from chrion_runtime.errors import PlanRefused, RunError
from chrion_runtime.run.compiled_plan import compile_plan
from chrion_runtime.run.executor import Executor
from chrion_runtime.run.kernels import KernelStore
from chrion_runtime.run.lanes import Lanes
from chrion_runtime.run.loaded_plan import LoadedPlan
from chrion_runtime.servable import StageLabel
from tests.support.control_flow import TextModel
from tests.support.partition import (
    BASIC,
    DISABLED,
    LANES,
    Arrays,
    assert_same_bits,
    at_random,
    atoms,
    each_node,
    normalised,
    plan_of,
    reference,
    running,
    whole,
)

pytestmark = pytest.mark.timeout(120)

CALLERS = 8
WIDE = ("cpu/0", "cpu/1")


def of_text(text: str, folder: Path) -> Graph:
    return normalised(TextModel(text, ()).build(), folder)


def floats(*numbers: float) -> NDArray[Any]:
    return np.array(numbers, dtype=np.float32)


@contextmanager
def warmed(
    text: str, folder: Path, feeds: Mapping[str, NDArray[Any]]
) -> Iterator[tuple[Executor, Callable[..., None]]]:
    """A model as text, each node a stage, warm for `feeds`; with it, a check of what it answers."""
    graph = of_text(text, folder)
    with running(graph, plan_of(graph, each_node(graph))) as executor:
        executor.warm(feeds)

        def check(**given: NDArray[Any]) -> None:
            assert_same_bits(executor.run(given), reference(folder / "original.onnx", given, BASIC))

        yield executor, check


@pytest.fixture(scope="module")
def gru(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return normalised(find("gru-bidirectional-l2-h16-s8-b2").build(), tmp_path_factory.mktemp("gru"))


def gru_feeds(seed: int, steps: int = 8, batch: int = 2) -> Arrays:
    case = find("gru-bidirectional-l2-h16-s8-b2")
    return random_inputs(case.build(), {"input": (steps, batch, 16)}, seed=seed)


def in_threads(run: Callable[[int], object], count: int) -> list[Any]:
    with ThreadPoolExecutor(CALLERS) as pool:
        return list(pool.map(run, range(count), timeout=60))


@pytest.mark.parametrize("lanes", [LANES, (("cpu/0",), WIDE, ("cpu/1",)), (WIDE,)], ids=["single", "mixed", "wide"])
def test_concurrent_requests_get_their_own_answers(gru: Graph, lanes: Sequence[Sequence[str]]) -> None:
    # Most have the shape that slots are bound for, every fourth another.
    requests = [gru_feeds(seed, *((5, 3) if seed % 4 == 3 else (8, 2))) for seed in range(48)]
    expected = [whole(gru, feeds) for feeds in requests]
    with running(gru, plan_of(gru, each_node(gru, lanes))) as executor:
        executor.warm(requests[0])
        answers = in_threads(lambda index: executor.run(requests[index]), len(requests))
    # Looked at only when all have run: no answer is a view of what a later request used.
    for answer, wanted in zip(answers, expected, strict=True):
        assert_same_bits(answer, wanted)


def test_two_plans_share_the_lanes(gru: Graph) -> None:
    devices, lanes, store = open_devices([], 2), Lanes(), KernelStore()
    cuts = [each_node(gru), at_random(gru, 3, (*LANES, WIDE)), [(range(len(gru.nodes)), WIDE)]]
    executors = [Executor(LoadedPlan(compile_plan(gru, plan_of(gru, cut)), devices, store), lanes) for cut in cuts]
    requests = [gru_feeds(seed) for seed in range(36)]
    for executor in executors:
        executor.warm(requests[0])
    answers = in_threads(lambda index: executors[index % 3].run(requests[index]), len(requests))
    lanes.close()
    for feeds, answer in zip(requests, answers, strict=True):
        np.testing.assert_allclose(answer["output"], whole(gru, feeds)["output"], rtol=1e-5, atol=1e-6)


def test_an_answer_stays_what_it_was(gru: Graph) -> None:
    with running(gru, plan_of(gru, each_node(gru))) as executor:
        first = gru_feeds(0)
        answers = [executor.warm(first), executor.run(first)]
        kept = {name: array.copy() for name, array in answers[0].items()}
        for seed in range(1, 10):
            executor.run(gru_feeds(seed))
        for answer in answers:
            assert_same_bits(answer, kept)
            for array in answer.values():
                array[...] = 7
        assert_same_bits(executor.run(first), kept)


def test_shapes_off_the_bucket_run(gru: Graph) -> None:
    with running(gru, plan_of(gru, each_node(gru))) as executor:
        executor.warm(gru_feeds(0))
        for seed, shape in enumerate(((1, 1), (8, 2), (20, 5), (8, 2), (3, 2))):
            feeds = gru_feeds(seed, *shape)
            assert_same_bits(executor.run(feeds), whole(gru, feeds))


PICK = """pick (float[N,2] table, int64[M] rows, float[M,2] x) => (float[M,2] y, float[M,2] z) {
  a = Exp (table)
  b = Gather <axis = 0> (a, rows)
  c = Neg (x)
  z = Tanh (c)
  y = Add (b, z)
}"""


@pytest.mark.parametrize("bound", [True, False], ids=["slots", "loose"])
def test_a_failing_request_disturbs_no_other(tmp_path: Path, bound: bool) -> None:
    graph = of_text(PICK, tmp_path)

    def feeds(index: int) -> Arrays:
        table, x = np.full((4, 2), index / 50, np.float32), np.full((3, 2), index, np.float32)
        return {"table": table, "rows": np.array([0, 9 if index % 3 == 2 else 1, 3]), "x": x}

    with running(graph, plan_of(graph, each_node(graph))) as executor:
        if bound:
            executor.warm(feeds(0))

        def run(index: int) -> Arrays | RunError:
            try:
                return executor.run(feeds(index))
            except RunError as error:
                return error

        for index, answer in enumerate(in_threads(run, 48)):
            if index % 3 == 2:
                assert isinstance(answer, RunError)
                assert str(answer).startswith("the model fails on these values: ")
                assert "Gather" in str(answer)
                assert str(answer).isprintable()
            else:
                assert_same_bits(answer, whole(graph, feeds(index)))
        assert_same_bits(executor.run(feeds(0)), whole(graph, feeds(0)))


def test_a_missing_input_never_takes_the_last_requests(tmp_path: Path) -> None:
    graph = of_text(PICK, tmp_path)
    feeds = {"table": np.ones((4, 2), np.float32), "rows": np.array([0, 1, 3]), "x": np.ones((3, 2), np.float32)}
    for cut in (each_node(graph), [(range(len(graph.nodes)), LANES[0])]):
        with running(graph, plan_of(graph, cut)) as executor:
            executor.warm(feeds)
            for missing in feeds:
                with pytest.raises(RunError):
                    executor.run({name: array for name, array in feeds.items() if name != missing})
            assert_same_bits(executor.run(feeds), whole(graph, feeds))


def test_shapes_that_follow_values(tmp_path: Path) -> None:
    text = """found (float[N] x) => (int64[1,M] where, float[M] values, float[N] y) {
      a = Relu (x)
      where = NonZero (a)
      i = Squeeze (where, zero)
      b = Gather (x, i)
      values = Exp (b)
      y = Neg (a)
    }""".replace(") {", ") <int64[1] zero = {0}> {", 1)
    with warmed(text, tmp_path, {"x": floats(1, 2, 0, 3)}) as (_, check):
        check(x=floats(1, 0, 2, 3))
        check(x=floats(0, 0, 2, 3))
        check(x=floats(0, 0, 0, 0))
        check(x=floats(1, 2, 3, 4))
        check(x=floats(1, 2, 0, 3))


@pytest.mark.parametrize(
    "text",
    [
        # As many elements in another shape.
        """folded (float[N] x, int64[2] shape) => (float[M,K] y, float[M,K] z) {
          a = Exp (x)
          b = Reshape (a, shape)
          y = Neg (b)
          z = Abs (y)
        }""",
        # A branch whose result has another shape, a loop whose state grows.
        """grown (float[N] x, int64[2] shape) => (float[M] y, float[M] z) <int64 zero = {0}, bool true = {1}> {
          trips = Gather (shape, zero)
          a = Exp (x)
          many = Greater (trips, zero_too)
          b = If (many) <
            then_branch = yes () => (float[P] t) { t = Concat <axis = 0> (a, a) },
            else_branch = no () => (float[Q] e) { e = Identity (a) }
          >
          c = Loop (trips, true, b) <
            body = round (int64 i, bool go, float[S] s) => (bool on, float[T] s2) {
              on = Identity (go)
              s2 = Concat <axis = 0> (s, a)
            }
          >
          y = Neg (c)
          z = Abs (y)
        }""".replace("zero_too", "zero"),
    ],
    ids=["reshape", "control-flow"],
)
def test_shapes_that_follow_the_values_of_an_input(text: str, tmp_path: Path) -> None:
    x = floats(1, 2, 3, 4, 5, 6)
    with warmed(text, tmp_path, {"x": x, "shape": np.array([2, 3])}) as (_, check):
        for shape in ((2, 3), (3, 2), (1, 6), (6, 1), (2, 3)):
            check(x=x, shape=np.array(shape))


def test_strings_cross_cuts(tmp_path: Path) -> None:
    text = """words (string[N] x, string[N] y) => (string[M] both, string[K] first, int64[1] size)
    <int64[2] two = {0, 1}> {
      a = Concat <axis = 0> (x, y)
      both = Concat <axis = 0> (a, x)
      first = Gather (both, two)
      size = Shape (first)
    }"""
    words = [np.array(pair, object) for pair in (["ä", "b"], ["", "long word"], ["🙂", "x"])]
    with warmed(text, tmp_path, {"x": words[0], "y": words[1]}) as (_, check):
        for x, y in zip(words, words[::-1], strict=True):
            check(x=x, y=y)
        check(x=words[0][:1], y=words[1][:1])


def test_every_element_type_crosses_cuts(tmp_path: Path) -> None:
    kinds = {"half": 10, "double": 11, "i8": 3, "u8": 2, "i16": 5, "u16": 4, "i32": 6, "u32": 12, "i64": 7, "u64": 13}
    kinds |= {"bool": 9, "brain": 16}
    lines = [
        f"{name} = Cast <to = {number}> (a) {name}2 = Unsqueeze ({name}, zero) {name}3 = Cast <to = 1> ({name}2)"
        for name, number in kinds.items()
    ]
    outputs = ", ".join(f"float[1,N] {name}3" for name in kinds)
    text = f"kinds (float[N] x) => ({outputs}) <int64[1] zero = {{0}}> {{ a = Abs (x) {' '.join(lines)} }}"
    with warmed(text, tmp_path, {"x": floats(0, 1.5, -2)}) as (executor, check):
        # Nothing that numpy has no type for leaves a session.
        stages = executor.loaded.plan.stages
        assert len(stages) == sum(len(stage.nodes) for stage in stages) - 2
        check(x=floats(3, 0, 7))
        check(x=floats(3, 0, 7, 9))


def test_scalars_and_axes_of_no_length_cross_cuts(tmp_path: Path) -> None:
    text = """small (float x, float[N,3] rows, float unused) => (float y, float[N,3] z, float x, float[N,3] rows) {
      a = Exp (x)
      y = Neg (a)
      b = Mul (rows, a)
      z = Tanh (b)
    }"""
    scalar = np.array(2, np.float32)
    for count in (0, 2):
        rows = np.ones((count, 3), np.float32)
        with warmed(text, tmp_path / str(count), {"x": scalar, "rows": rows, "unused": scalar}) as (_, check):
            check(x=scalar, rows=rows, unused=scalar)
            check(x=np.array(6, np.float32), rows=2 * rows, unused=scalar)
            check(x=scalar, rows=np.zeros((0, 3), np.float32), unused=scalar)


def test_observers_hear_of_every_stage(gru: Graph) -> None:
    cut = at_random(gru, 5)
    with running(gru, plan_of(gru, cut)) as executor:
        heard: list[tuple[StageLabel, float, float]] = []
        once: list[tuple[StageLabel, float, float]] = []
        executor.observe(lambda *run: heard.append(run))
        executor.warm(gru_feeds(0))
        began = time.perf_counter()
        executor.run(gru_feeds(1), observer=lambda *run: once.append(run))
        ended = time.perf_counter()
    stages = [(index, lanes) for index, (_, lanes) in enumerate(cut)]
    assert sorted((stage.index, stage.lanes) for stage, _, _ in heard) == sorted(2 * stages)
    assert sorted((stage.index, stage.lanes) for stage, _, _ in once) == stages
    assert all(began <= start <= start + seconds <= ended for _, start, seconds in once)
    assert all(seconds > 0 for _, _, seconds in heard)


def test_an_observer_of_one_run_hears_of_a_whole_model_too(gru: Graph) -> None:
    with running(gru, plan_of(gru, [(range(len(gru.nodes)), LANES[0])])) as executor:
        heard: list[StageLabel] = []
        executor.run(gru_feeds(0), observer=lambda stage, *_: heard.append(stage))
        executor.run(gru_feeds(0))
    assert [(stage.index, stage.lanes) for stage in heard] == [(0, LANES[0])]


def test_plans_that_do_not_fit_are_refused(gru: Graph) -> None:
    count = len(gru.nodes)
    good = plan_of(gru, each_node(gru))
    last, first = atoms(gru)[-1], atoms(gru)[0]
    ring = [(first + last, LANES[0]), ([node for node in range(count) if node not in first + last], LANES[1])]
    cases = {
        "was made for graph 000000000000, this model gives": good.model_copy(update={"graph": "0" * 64}),
        f"node {count - 1} is in no stage": plan_of(gru, [(range(count - 1), LANES[0])]),
        "node 0 is in two stages or not in the graph": plan_of(gru, [(range(count), LANES[0]), ([0], LANES[0])]),
        f"node {count} is in two stages or not in the graph": plan_of(gru, [(range(count + 1), LANES[0])]),
        "its stages wait for each other in a circle": plan_of(gru, ring),
        "stage 0 wants cpu/7; there are cpu/0, cpu/1": plan_of(gru, [(range(count), ("cpu/7",))]),
        "stage 0 wants cuda:0/0; there are cpu/0, cpu/1": plan_of(gru, [(range(count), ("cuda:0/0",))]),
    }
    for words, plan in cases.items():
        with pytest.raises(PlanRefused) as caught, running(gru, plan):
            pass
        assert words in str(caught.value)


def test_what_goes_through_the_emulated_device_is_freed(gru: Graph) -> None:
    devices = open_devices(["emulated:0"], 2)
    device = devices["emulated:0"]

    def use() -> None:
        with running(gru, plan_of(gru, each_node(gru, (("cpu/0",), ("emulated:0/0",)))), devices) as executor:
            executor.warm(gru_feeds(0))
            bound = device.memory.used()
            assert bound is not None
            assert bound.weights
            assert bound.activations
            in_threads(lambda seed: executor.run(gru_feeds(seed, 4 + seed % 5)), 40)
            assert device.memory.used() == bound

    use()
    assert device.memory.used() == GpuBytes()


def test_a_whole_model_in_one_stage_is_one_session(gru: Graph) -> None:
    feeds = gru_feeds(0)
    with running(gru, plan_of(gru, [(range(len(gru.nodes)), LANES[0])])) as executor:
        assert_same_bits(executor.warm(feeds), reference(gru.folder / "model.onnx", feeds, DISABLED))
        answers = in_threads(lambda seed: executor.run(gru_feeds(seed)), 16)
    for seed, answer in enumerate(answers):
        assert_same_bits(answer, whole(gru, gru_feeds(seed)))
