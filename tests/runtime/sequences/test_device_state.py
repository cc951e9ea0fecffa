"""State goes from run to run on the device: over any plan, without copies, and unharmed by what goes wrong."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest

from chrion_runtime.devices import open_devices
from chrion_runtime.devices.emulated import Emulated, EmulatedMemory
from chrion_runtime.errors import RunError, SequenceLost
from tests.runtime.sequences.conftest import STEPS, Stream, executors, speech, zeros
from tests.support.control_flow import TextModel
from tests.support.partition import atoms, each_node, normalised, plan_of, reference

CPU, DEVICE = ("cpu/0",), ("emulated:0/0",)


def every(graph):
    return range(len(graph.nodes))


def lstm_on(graph, lanes, others):
    """The LSTM's node on some lanes, each other node on its own."""
    return [
        (nodes, lanes if any(graph.nodes[node].op_type == "LSTM" for node in nodes) else others)
        for nodes in atoms(graph)
    ]


CUTS = {
    "whole": lambda graph: [(every(graph), CPU)],
    "each node": each_node,
    "whole on the device": lambda graph: [(every(graph), DEVICE)],
    "recurrent part on the device": lambda graph: lstm_on(graph, DEVICE, CPU),
    "recurrent part on the host": lambda graph: lstm_on(graph, CPU, DEVICE),
    "each node in turn": lambda graph: each_node(graph, (DEVICE, CPU)),
}


class Counting(EmulatedMemory):
    """The memory of an emulated accelerator, which remembers the sizes of what was copied into it and out of it."""

    def __init__(self):
        super().__init__("emulated:0")
        self.copies = []

    def put(self, array):
        self.copies.append(array.shape)
        return super().put(array)

    def get(self, value):
        found = super().get(value)
        self.copies.append(found.shape)
        return found

    def read(self, tensor, array):
        self.copies.append(array.shape)
        super().read(tensor, array)


def counting_devices():
    device = Emulated("emulated:0", 0)
    device.memory = Counting()
    return {**open_devices([], 2), "emulated:0": device}


@pytest.fixture
def devices():
    return counting_devices()


@pytest.fixture
def expected(graph):
    """`expected(x)`: every output for all of x, by one session in one go."""
    return lambda x: reference(graph.folder / "model.onnx", {"x": x, **zeros(x.shape[1])})


CAPTURED = ["whole on the device", "recurrent part on the device", "each node in turn"]


def captured(plan):
    """The plan with every stage on the device captured, so that nothing there may change its place."""
    stages = tuple(stage.with_options(capture=stage.lanes == DEVICE) for stage in plan.stages)
    return plan.model_copy(update={"stages": stages})


@pytest.fixture
def stream(graph, devices):
    """`stream(name)`: the sequences of the model over a plan, warm for chunks of one."""
    with ExitStack() as stack:

        def make(name, change=lambda plan: plan, **options):
            plan = change(plan_of(graph, CUTS[name](graph)))
            (executor,) = stack.enter_context(executors(graph, [plan], devices))
            executor.warm({"x": speech(99, STEPS), **zeros()})
            return Stream(executor, devices, **options)

        yield make


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CUTS)
def test_chunks_give_what_the_whole_gives(stream, expected, name):
    sequences = stream(name)
    xs = [speech(seed) for seed in range(3)]
    for seed, x in enumerate(xs):
        close(sequences.talk(seed, x), expected(x)["y"])
    # In between each other, and of a shape that nothing was bound for.
    pairs = [speech(seed, batch=2) for seed in (10, 11)]
    parts = {"a": [], "b": []}
    for position in range(0, STEPS * 5, STEPS):
        for key, x in zip(parts, pairs, strict=True):
            chunk = {"x": x[position : position + STEPS]}
            parts[key].append(sequences.send(key, chunk, start=position == 0)["y"])
    for key, x in zip(parts, pairs, strict=True):
        close(np.concatenate(parts[key]), expected(x)["y"])


@pytest.mark.parametrize("name", CUTS)
def test_many_sequences_at_once(stream, expected, name):
    sequences = stream(name)
    xs = [speech(seed) for seed in range(12)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(sequences.talk, range(12), xs, timeout=60))
    for x, y in zip(xs, answers, strict=True):
        close(y, expected(x)["y"])


@pytest.mark.parametrize("name", CAPTURED)
def test_state_goes_through_captured_stages(stream, expected, name):
    sequences = stream(name, captured)
    xs = [speech(seed) for seed in range(6)]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(sequences.talk, range(6), xs, timeout=60))
    for x, y in zip(xs, answers, strict=True):
        close(y, expected(x)["y"])
    # And a sequence of another shape, which runs without the capture.
    x = speech(9, batch=2)
    close(sequences.talk("wide", x), expected(x)["y"])


@pytest.mark.parametrize("name", CUTS)
def test_state_is_answered_only_where_it_is_asked_for_and_is_the_callers(stream, expected, name):
    sequences = stream(name)
    x = speech(0, STEPS * 3)
    first, second, third = np.split(x, 3)
    assert sequences.send("s", {"x": first}, start=True).keys() == {"y", "mood"}
    answer = sequences.send("s", {"x": second}, outputs=["h_out", "y"])
    assert answer.keys() == {"y", "mood", "h_out"}
    close(answer["h_out"], expected(x[: 2 * STEPS])["h_out"])
    for array in answer.values():
        array[...] = 7
    answer = sequences.send("s", {"x": third}, outputs=["c_out"])
    close(answer["y"], expected(x)["y"][2 * STEPS :])
    close(answer["mood"], expected(x)["mood"])
    close(answer["c_out"], expected(x)["c_out"])


@pytest.mark.parametrize("name", CUTS)
def test_requests_outside_the_sequence_leave_it_alone(stream, expected, name):
    sequences = stream(name)
    x, other = speech(0), speech(1)
    feeds = {"x": other[:STEPS], "h": np.ones((1, 1, 8), np.float32), "c": np.ones((1, 1, 8), np.float32)}
    alone = sequences.executor.run(feeds)
    found = []
    for chunk in np.split(x, 5):
        found.append(sequences.send("s", {"x": chunk}, start=not found)["y"])
        again = sequences.executor.run(feeds)
        assert again.keys() == {"y", "h_out", "c_out", "mood"}
        for key, array in again.items():
            close(array, alone[key])
            array[...] = 7
    close(np.concatenate(found), expected(x)["y"])


@pytest.mark.parametrize("warm", [True, False], ids=["slots", "loose"])
@pytest.mark.parametrize("name", ["whole on the device", "recurrent part on the device"])
def test_no_state_crosses_memories_between_requests(graph, devices, name, warm):
    with executors(graph, [plan_of(graph, CUTS[name](graph))], devices) as (executor,):
        if warm:
            executor.warm({"x": speech(99, STEPS), **zeros()})
        sequences = Stream(executor, devices)
        sequences.send("s", {"x": speech(0, STEPS)}, start=True)
        copies = devices["emulated:0"].memory.copies
        copies.clear()
        sequences.send("s", {"x": speech(1, STEPS)})
        # "mood" is made of h_out, on the host in one of the plans: that one crossing is the answer's.
        assert sum(shape == (1, 1, 8) for shape in copies) == 1, copies
        copies.clear()
        sequences.send("s", {"x": speech(1, STEPS)}, outputs=["y", "h_out", "c_out"])
        assert sum(shape == (1, 1, 8) for shape in copies) == 3 - ("part" in name), copies


def test_state_survives_a_change_of_plan(graph, devices, expected):
    plans = [plan_of(graph, cut(graph)) for cut in CUTS.values()]
    x = speech(5, STEPS * 12)
    with executors(graph, plans, devices) as found:
        for executor in found[::2]:
            executor.warm({"x": speech(99, STEPS), **zeros()})
        sequences = Stream(found[0], devices)
        parts = []
        for index, chunk in enumerate(np.split(x, 12)):
            sequences.executor = found[(index * 5) % len(found)]
            parts.append(sequences.send("s", {"x": chunk}, start=index == 0)["y"])
            if index == 7:
                sequences.sequences.park()
    close(np.concatenate(parts), expected(x)["y"])


def test_parked_state_takes_no_device_memory(stream, devices, expected):
    sequences = stream("whole on the device")
    x = speech(3, STEPS * 2)
    before = devices["emulated:0"].memory.used()
    sequences.send("s", {"x": x[:STEPS]}, start=True)
    assert devices["emulated:0"].memory.used().activations > before.activations
    assert sequences.sequences.store.nbytes == 2 * 8 * 4
    sequences.sequences.park()
    assert devices["emulated:0"].memory.used() == before
    close(sequences.send("s", {"x": x[STEPS:]})["y"], expected(x)["y"][STEPS:])


@pytest.mark.parametrize("name", CUTS)
def test_what_sequences_take_is_freed(graph, name):
    devices = counting_devices()

    def use():
        with executors(graph, [plan_of(graph, CUTS[name](graph))], devices) as (executor,):
            executor.warm({"x": speech(99, STEPS), **zeros()})
            bound = devices["emulated:0"].memory.used()
            sequences = Stream(executor, devices)
            for seed in range(20):
                sequences.talk(seed, speech(seed, STEPS * 2))
                sequences.send(seed, {"x": speech(seed, STEPS)}, end=True)
            assert sequences.sequences.store.nbytes == 0
            used = devices["emulated:0"].memory.used()
            # A slot may stand in for its first buffers with others of the host, which nobody counts.
            assert (used.weights, used.activations <= bound.activations) == (bound.weights, True)

    use()
    assert devices["emulated:0"].memory.used().total == 0


SUMS = """sums (float[N] x, int64[1] pick, float[N] total) => (float[N] next, float[1] chosen) {
  next = Add (x, total)
  grown = Exp (next)
  chosen = Gather (grown, pick)
}"""


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "each node"])
@pytest.mark.parametrize("warm", [True, False], ids=["slots", "loose"])
def test_a_failed_run_leaves_the_state_as_it_was(tmp_path, devices, whole, warm):
    graph = normalised(TextModel(SUMS, ()).build(), tmp_path)
    cut = CUTS["whole"](graph) if whole else each_node(graph, (DEVICE, CPU))
    x, good, bad = np.full(3, 0.5, np.float32), np.array([1]), np.array([9])
    with executors(graph, [plan_of(graph, cut)], devices) as (executor,):
        if warm:
            executor.warm({"x": x, "pick": good, "total": x})
        bucket = {"x": (3,), "pick": (1,), "total": (3,)}
        sequences = Stream(executor, devices, bucket, {"next": "total"})
        with pytest.raises(RunError):
            sequences.send("s", {"x": x, "pick": bad}, start=True)
        with pytest.raises(SequenceLost, match="first request failed"):
            sequences.send("s", {"x": x, "pick": good})
        for count in range(1, 5):
            answer = sequences.send("s", {"x": x, "pick": good}, start=count == 1, outputs=["next", "chosen"])
            close(answer["next"], x * count)
            for start in (False, True):
                with pytest.raises(RunError):
                    sequences.send("s", {"x": x * 100, "pick": bad}, start=start)


def test_state_that_grows(tmp_path, devices):
    text = """grows (float[N] x, float[M] past) => (float[K] all, float[K] y) {
      all = Concat <axis = 0> (past, x)
      y = Neg (all)
    }"""
    graph = normalised(TextModel(text, ()).build(), tmp_path)
    with executors(graph, [plan_of(graph, each_node(graph, (DEVICE, CPU)))], devices) as (executor,):
        executor.warm({"x": np.ones(2, np.float32), "past": np.ones(0, np.float32)})
        sequences = Stream(executor, devices, {"x": (2,), "past": (0,)}, {"all": "past"})
        for count in range(1, 6):
            y = sequences.send("s", {"x": np.full(2, count, np.float32)}, start=count == 1)["y"]
            np.testing.assert_array_equal(y, -np.repeat(np.arange(1, count + 1), 2).astype(np.float32))


def test_state_that_is_an_input_passed_through(tmp_path, devices):
    text = "through (float[N] x, float[N] before) => (float[N] y, float[N] x) { y = Sub (x, before) }"
    graph = normalised(TextModel(text, ()).build(), tmp_path)
    for warm in (False, True):
        with executors(graph, [plan_of(graph, [(range(1), CPU)])], devices) as (executor,):
            if warm:
                executor.warm({"x": np.ones(2, np.float32), "before": np.ones(2, np.float32)})
            sequences = Stream(executor, devices, {"x": (2,), "before": (2,)}, {"x": "before"})
            x = np.zeros(2, np.float32)
            for count in range(5):
                x[...] = count * count
                y = sequences.send("s", {"x": x}, start=count == 0)["y"]
                np.testing.assert_array_equal(y, np.full(2, max(0, 2 * count - 1), np.float32))
