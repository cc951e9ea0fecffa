"""Kernels as the runtime uses them: bad values, runs that are ended, memory, and many runs at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from chrion_api import Options
from chrion_runtime.devices import open_devices
from chrion_runtime.devices.run_memory import RUN_MEMORY
from chrion_runtime.engines import Kernel, Ports, Site, engine_named
from chrion_runtime.engines.recurrent import layers
from chrion_runtime.errors import OverMemory, PlanRefused, RunStopped, UnfitValues
from chrion_runtime.stop import Stop
from tests.support.kernels import needs_kernels
from tests.support.one_layer import BATCH, HIDDEN, INPUTS, STEPS, OneLayer

pytestmark = needs_kernels
ENGINE = engine_named("recurrent")
ALONE: Options = {}
WAYS: list[tuple[int, Options]] = [(1, ALONE), (2, {"sharing": "Pieces"}), (2, {"sharing": "Units"})]

FED = ("X", "lengths", "h", "c")
OPEN = {0: "t", 1: "b"}
LSTM = OneLayer("LSTM", direction="bidirectional", given=("B", "lengths", "h", "c"), fed=FED, open_axes=OPEN)


def compiled(layer: OneLayer, folder: Path, lanes: int = 1, options: Options = ALONE) -> tuple[Kernel, Ports]:
    model = layer.model()
    path = folder / "layer.onnx"
    path.write_bytes(model.SerializeToString())
    (device,) = open_devices([], 1).values()
    ports = Ports(tuple(value.name for value in model.graph.input), tuple(value.name for value in model.graph.output))
    return ENGINE.compile(path, Site(device, lanes), options), ports


def run(layer: OneLayer, folder: Path, **changed: NDArray[Any]) -> list[NDArray[Any]]:
    kernel, ports = compiled(layer, folder)
    given = {**layer.feeds, **changed}
    return [np.asarray(array) for array in kernel.run(ports, [given[name] for name in ports.reads])]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"X": np.zeros((STEPS, BATCH, INPUTS + 1), np.float32)},
            "X of a recurrent layer has 6 inputs, not 5",
        ),
        ({"X": np.zeros((STEPS, BATCH), np.float32)}, "has 2 axes, not 3"),
        ({"h": np.zeros((2, BATCH + 1, HIDDEN), np.float32)}, f"initial_h .* {BATCH + 1} rows, not {BATCH}"),
        ({"c": np.zeros((1, BATCH, HIDDEN), np.float32)}, "initial_c .* 1 directions, not 2"),
        ({"c": np.zeros((2, BATCH, HIDDEN - 1), np.float32)}, f"initial_c .* {HIDDEN - 1} units, not {HIDDEN}"),
        ({"lengths": np.zeros(BATCH - 1, np.int32)}, "sequence_lens has the shape"),
        ({"lengths": np.full(BATCH, STEPS + 1, np.int32)}, f"sequence_lens .* from 0 to {STEPS}"),
        ({"lengths": np.full(BATCH, -1, np.int32)}, "sequence_lens"),
        ({"lengths": np.full(BATCH, 1, np.int64)}, "of type int64, not int32"),
        ({"X": np.zeros((STEPS, BATCH, INPUTS))}, "of type float64, not float32"),
    ],
)
def test_values_that_do_not_fit_are_named(changed: dict[str, NDArray[Any]], said: str, tmp_path: Path) -> None:
    with pytest.raises(UnfitValues, match=said):
        run(LSTM, tmp_path, **changed)


@pytest.mark.parametrize("shape", [(0, BATCH, INPUTS), (STEPS, 0, INPUTS)])
@pytest.mark.parametrize(("lanes", "options"), WAYS)
def test_without_steps_or_rows_nothing_is_made(
    shape: tuple[int, ...], lanes: int, options: Options, tmp_path: Path
) -> None:
    kernel, ports = compiled(OneLayer("GRU", open_axes=OPEN), tmp_path, lanes, options)
    y, last = kernel.run(ports, [np.zeros(shape, np.float32)])
    assert y.shape == (shape[0], 1, shape[1], HIDDEN)
    np.testing.assert_array_equal(last, np.zeros((1, shape[1], HIDDEN)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_what_is_no_number_answers_as_by_onnx_runtime(kind: Any, value: float, tmp_path: Path) -> None:
    layer = OneLayer(kind)
    x = layer.feeds["X"].copy()
    x[2, 1, 0] = value
    session = ort.InferenceSession(layer.model().SerializeToString(), providers=["CPUExecutionProvider"])
    for found, expected in zip(run(layer, tmp_path, X=x), session.run(None, {"X": x}), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("lanes", "options"), WAYS)
def test_a_run_is_ended_from_outside_and_the_next_is_as_ever(lanes: int, options: Options, tmp_path: Path) -> None:
    kernel, ports = compiled(OneLayer("LSTM", open_axes={0: "t"}), tmp_path, lanes, options)
    short, long = (np.ones((steps, BATCH, INPUTS), np.float32) for steps in (5, 2_000_000))
    expected = kernel.run(ports, [short])
    stop = Stop()
    timer = Timer(0.05, stop.set)
    timer.start()
    with pytest.raises(RunStopped):
        kernel.run(ports, [long], stop)
    timer.join()
    with pytest.raises(RunStopped):
        kernel.run(ports, [short], stop)
    assert _same(kernel.run(ports, [short], Stop()), expected)


def _same(found: Any, expected: Any) -> bool:
    return all(np.allclose(one, other, rtol=1e-5, atol=1e-6) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize(("lanes", "options"), WAYS)
def test_runs_at_once_have_their_own_answers(lanes: int, options: Options, tmp_path: Path) -> None:
    kernel, ports = compiled(OneLayer("GRU", open_axes=OPEN), tmp_path, lanes, options)
    random = np.random.default_rng(0)
    given = [random.standard_normal((20 + seed % 3, 1 + seed % 4, INPUTS)).astype(np.float32) for seed in range(60)]
    one_by_one = [kernel.run(ports, [x]) for x in given]
    with ThreadPoolExecutor(6) as pool:
        at_once = list(pool.map(lambda x: kernel.run(ports, [x]), given))
    assert all(_same(found, expected) for found, expected in zip(at_once, one_by_one, strict=True))


def test_buffers_beyond_the_limit_of_runs_are_refused_before_they_are_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kernel, ports = compiled(OneLayer("LSTM", open_axes=OPEN), tmp_path)
    held = RUN_MEMORY.taken()  # by other tests of this process, too
    monkeypatch.setattr(RUN_MEMORY, "_limit", held + 1000)
    steps = 100 + held // (64 * INPUTS)
    with pytest.raises(OverMemory, match=r"needs .* bytes at once"):
        kernel.run(ports, [np.zeros((steps, 64, INPUTS), np.float32)])


def test_weights_are_packed_once_however_many_kernels_use_them(tmp_path: Path) -> None:
    before = len(layers._packed)
    kernels = [compiled(OneLayer("LSTM"), tmp_path, lanes, options)[0] for lanes, options in WAYS]
    assert len(layers._packed) == before + 1
    del kernels
    assert len(layers._packed) == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sharing": "Somehow"}, "has the sharing 'Somehow'; choose one of Alone, Pieces, Units"),
        ({"patience": -1}, "has the patience '-1', which must be from 0 to 1 s"),
        ({"patience": True}, "has the patience 'True'"),
        ({"threads": 2}, "has an option that the recurrent kernels do not know: threads"),
    ],
)
def test_options_that_it_does_not_know_are_named(options: Options, said: str) -> None:
    assert said in ENGINE.refusal(options, "cpu")
    assert not ENGINE.refusal({"sharing": "Units", "patience": 0.001}, "cpu")


def test_nodes_that_are_no_stack_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanRefused, match="cannot run a stage's nodes; plan again"):
        compiled(OneLayer("LSTM", given=("B", "P")), tmp_path)


def test_values_that_lie_apart_or_askew_are_read_as_they_are(tmp_path: Path) -> None:
    kernel, ports = compiled(OneLayer("GRU"), tmp_path)
    x = OneLayer("GRU").feeds["X"]
    askew = np.frombuffer(b"-" + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(x.shape)
    apart = np.repeat(x, 2, axis=2)[:, :, ::2]
    expected = kernel.run(ports, [x])
    for given in (askew, apart, np.asfortranarray(x)):
        assert _same(kernel.run(ports, [given]), expected)
        bound = [np.empty_like(array) for array in expected]
        kernel.bind(ports, [given], bound)()
        assert _same(bound, expected)


@pytest.mark.parametrize("sharing", ["Pieces", "Units"])
def test_more_lanes_than_a_team_can_have_threads(sharing: str, tmp_path: Path) -> None:
    kernel, ports = compiled(OneLayer("GRU"), tmp_path, 100, {"sharing": sharing})
    alone, _ = compiled(OneLayer("GRU"), tmp_path)
    x = OneLayer("GRU").feeds["X"]
    assert _same(kernel.run(ports, [x]), alone.run(ports, [x]))


def test_an_axis_that_was_declared_to_be_one_must_be(tmp_path: Path) -> None:
    """What ONNX Runtime says of Squeeze, and no rows that are silently left out."""
    weights = OneLayer("GRU").arrays
    nodes = [
        helper.make_node("Squeeze", ["x", "axes"], ["s"]),
        helper.make_node("GRU", ["s", "W", "R"], ["Y"], hidden_size=HIDDEN),
    ]
    graph = helper.make_graph(
        nodes,
        "squeezed",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, "t", "b", INPUTS])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(np.array([0]), "axes"),
            *(numpy_helper.from_array(weights[name], name) for name in ("W", "R")),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "squeezed.onnx"
    path.write_bytes(model.SerializeToString())
    kernel = ENGINE.compile(path, Site(open_devices([], 1)["cpu"], 1), ALONE)
    ports = Ports(("x",), ("Y",))
    kernel.run(ports, [np.zeros((1, STEPS, BATCH, INPUTS), np.float32)])
    with pytest.raises(UnfitValues, match="axis 0 of a value of the shape"):
        kernel.run(ports, [np.zeros((2, STEPS, BATCH, INPUTS), np.float32)])


@pytest.mark.parametrize(
    ("width", "value", "said"), [(5, np.inf, "are not finite"), (40_000, 0.5, "of more than 32,768 inputs or units")]
)
def test_weights_that_have_no_form_in_less_precision_are_refused(
    width: int, value: float, said: str, tmp_path: Path
) -> None:
    changes = {
        "X": np.zeros((STEPS, BATCH, width), np.float32),
        "W": np.full((1, HIDDEN, width), value, np.float32),
    }
    layer = OneLayer("RNN", changes=changes)
    compiled(layer, tmp_path)
    with pytest.raises(PlanRefused, match=said):
        compiled(layer, tmp_path, options={"weights": "Int8"})
