"""A stack of layers as a kernel: shapes are checked and strides worked out once, and kept with buffers for the next
run of the same shapes."""

import ctypes
import queue
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chrion_runtime.devices import Tensor
from chrion_runtime.devices.run_memory import RUN_MEMORY
from chrion_runtime.engines.engine import Call, Ports
from chrion_runtime.engines.recurrent.layers import PackedLayer
from chrion_runtime.engines.recurrent.library import CallStruct, LevelStatesStruct, Library, ShapeStruct, StateStruct
from chrion_runtime.engines.recurrent.stack import BATCH, DIRECTIONS, SHARING, STEPS, UNITS, Level, Stack
from chrion_runtime.engines.recurrent.views import Made, Sizes, Strided, ValueView, placed
from chrion_runtime.errors import RunError, RunStopped, UnfitValues
from chrion_runtime.servable import Array
from chrion_runtime.stop import Stop

_KEPT_SHAPES = 16
"""Sets of shapes whose buffers are kept for the next run."""
_FLOAT = 4
_STOPPED, _BAD_LENGTHS = 1, 2
"""What `stack_run` says besides 0; see `enum outcome`."""

Shape = tuple[int, ...]


class Team:
    """Threads that share runs with whoever makes them."""

    def __init__(self, library: Library, helpers: int, sharing: str, patience: float) -> None:
        """`patience` is for how many seconds helpers wait actively after a run. Raises OutOfMemory."""
        self.sharing = SHARING.index(sharing)
        self.handle = _owned(self, library.team_new(helpers, int(patience * 1e9)), library.team_free)


@dataclass(eq=False)
class LoadedStack:
    """A stack with its weights: what all runs of a kernel have in common."""

    stack: Stack
    library: Library
    layers: Sequence[Sequence[PackedLayer]]
    """Of each level, by direction."""
    constants: Mapping[str, NDArray[Any]]
    """What is given once and for all."""
    team: Team | None = None

    def __post_init__(self) -> None:
        """Raises OutOfMemory."""
        sides = [side for level in self.layers for side in (*(layer.handle for layer in level), None)[:2]]
        made = self.library.stack_new(len(self.layers), (ctypes.c_void_p * len(sides))(*sides))
        self.handle = _owned(self, made, self.library.stack_free, self.layers)


class StackKernel:
    """A stack, and buffers for its runs."""

    captures = False

    def __init__(self, loaded: LoadedStack) -> None:
        self._loaded = loaded
        self._idle: dict[object, queue.SimpleQueue[Frame]] = {}

    def run(self, ports: Ports, reads: Sequence[Tensor], stop: Stop | None = None) -> Sequence[Tensor]:
        """See `Kernel`. Raises RunError, RunStopped."""
        arrays = [_dense(tensor) for tensor in reads]
        key = (ports, *((array.shape, array.dtype) for array in arrays))
        idle = self._idle.get(key)
        if idle is None:
            if len(self._idle) >= _KEPT_SHAPES:
                self._idle.clear()
            idle = self._idle[key] = queue.SimpleQueue()
        try:
            frame = idle.get_nowait()
        except queue.Empty:
            frame = Frame(self._loaded, ports, arrays)
        made = [np.empty(shape, np.float32) for shape in frame.shapes]
        for fields, array in zip(frame.pointers, (*arrays, *made), strict=True):
            _point(fields, array)
        frame.run(stop)
        idle.put(frame)
        return made

    def bind(self, ports: Ports, reads: Sequence[Tensor], writes: Sequence[Tensor]) -> Call:
        """See `Kernel`."""
        return StackCall(self._loaded, ports, reads, writes)


class StackCall:
    """A frame with tensors of its own."""

    def __init__(self, loaded: LoadedStack, ports: Ports, reads: Sequence[Tensor], writes: Sequence[Tensor]) -> None:
        self._frame = Frame(loaded, ports, reads)
        self._reads: list[Array] = [np.empty(0)] * len(reads)
        self._writes: list[Tensor] = list(writes)
        for place, tensor in enumerate(reads):
            self.read(place, tensor)
        for place, tensor in enumerate(writes):
            self.write(place, tensor)

    def read(self, place: int, tensor: Tensor) -> None:
        self._reads[place] = _dense(tensor)
        _point(self._frame.pointers[place], self._reads[place])

    def write(self, place: int, tensor: Tensor) -> None:
        self._writes[place] = tensor
        _point(self._frame.pointers[len(self._reads) + place], np.asarray(tensor))

    def __call__(self, stop: Stop | None = None) -> None:
        """See `Call`. Raises RunError, RunStopped."""
        for tensor, shape in zip(self._writes, self._frame.shapes, strict=True):
            if tensor.shape != shape:
                raise UnfitValues(f"a result does not have the shape {tensor.shape} that was bound for it")
        self._frame.run(stop)


class Frame:
    """All that a run of some shapes needs but where the arrays lie: those are set before each run."""

    def __init__(self, loaded: LoadedStack, ports: Ports, reads: Sequence[Tensor]) -> None:
        """For runs with tensors of the shapes and types of these.

        Raises RunError where those do not fit, or there is no memory for buffers.
        """
        for name, tensor in zip(ports.reads, reads, strict=True):
            wanted = np.int32 if name == loaded.stack.lengths else np.float32
            if tensor.dtype != wanted:
                raise _unfit(f"a recurrent layer got values of type {tensor.dtype}, not {np.dtype(wanted)}")
        self._loaded = loaded
        self._states = (LevelStatesStruct * len(loaded.stack.levels))()
        self._call = CallStruct(states=ctypes.addressof(self._states))
        self._fields: dict[str, list[_Field]] = {}
        """What points into each value that is read."""
        given = {
            **{name: array.shape for name, array in loaded.constants.items()},
            **{name: tensor.shape for name, tensor in zip(ports.reads, reads, strict=True)},
        }
        self._read_x(given)
        for number, level in enumerate(loaded.stack.levels):
            self._read_first(number, level, given)
        self._read_lengths(given)
        for name, array in loaded.constants.items():
            _point(self._fields.get(name, []), array)
        self.shapes: list[Shape] = []
        """Of what is written, in the order of the ports."""
        self.pointers = [self._fields.get(name, []) for name in ports.reads]
        """What points into each array that is read, and then into each that is written."""
        for name in ports.writes:
            self._place(name)
        self._make_workspace()
        self._run = loaded.library.stack_run
        self._arguments = (self._workspace, ctypes.addressof(self._call))

    def run(self, stop: Stop | None) -> None:
        """Run once. Raises RunError, RunStopped."""
        if stop is not None:
            stop.check()
            flag = ctypes.c_int32()
            self._call.stop = ctypes.addressof(flag)
            stop.on_set(partial(setattr, flag, "value", 1))
        outcome = self._run(*self._arguments)
        if stop is not None:
            self._call.stop = None
        if outcome == _STOPPED:
            raise RunStopped
        if outcome == _BAD_LENGTHS:
            raise UnfitValues(
                f"the model fails on these values: sequence_lens of a recurrent layer must be from 0 to "
                f"{self._call.steps}, the number of steps"
            )

    def _read_x(self, given: Mapping[str, Shape]) -> None:
        view, call = self._loaded.stack.x, self._call
        sizes, place = _given(view, given)
        call.steps, call.batch, inputs = sizes
        _expect("X", inputs, self._loaded.stack.levels[0].inputs, "inputs")
        call.x_step, call.x_row, _ = place.strides.values()
        self._note(view, call, "x", place)

    def _read_first(self, number: int, level: Level, given: Mapping[str, Shape]) -> None:
        for view, name in ((level.first_hidden, "first_hidden"), (level.first_cell, "first_cell")):
            if view is None:
                continue
            (sides, batch, units), place = _given(view, given)
            what = "initial_h" if name == "first_hidden" else "initial_c"
            _expect(what, sides, len(level.directions), "directions")
            _expect(what, batch, self._call.batch, "rows")
            _expect(what, units, level.units, "units")
            state: StateStruct = getattr(self._states[number], name)
            state.direction_stride, state.row_stride, _ = place.strides.values()
            self._note(view, state, "values", place)

    def _read_lengths(self, given: Mapping[str, Shape]) -> None:
        name = self._loaded.stack.lengths
        if name:
            if given[name] != (self._call.batch,):
                raise _unfit(f"sequence_lens has the shape {list(given[name])}, but there are {self._call.batch} rows")
            self._fields.setdefault(name, []).append((self._call, "lengths", 0))

    def _note(self, view: ValueView, struct: ctypes.Structure, field: str, place: Strided) -> None:
        assert isinstance(view.source, str)
        self._fields.setdefault(view.source, []).append((struct, field, place.offset * _FLOAT))

    def _sizes(self) -> dict[Made, Sizes]:
        call = self._call
        return {
            Made(number, what): {
                STEPS: call.steps,
                DIRECTIONS: len(level.directions),
                BATCH: call.batch,
                UNITS: level.units,
            }
            for number, level in enumerate(self._loaded.stack.levels)
            for what in ("y", "hidden", "cell")
        }

    def _place(self, name: str) -> None:
        shape, parts = placed(self._loaded.stack.outputs[name], self._sizes())
        self.shapes.append(shape)
        fields: list[_Field] = []
        for made, place in parts:
            strides = [place.strides.get(atom, 0) for atom in (STEPS, DIRECTIONS, BATCH)]
            if made.what == "y":
                self._call.y_step, self._call.y_direction, self._call.y_row = strides
                fields.append((self._call, "y", place.offset * _FLOAT))
            else:
                state: StateStruct = getattr(self._states[made.level], f"last_{made.what}")
                _, state.direction_stride, state.row_stride = strides
                fields.append((state, "values", place.offset * _FLOAT))
        self.pointers.append(fields)

    def _make_workspace(self) -> None:
        loaded, team = self._loaded, self._loaded.team
        sharing, handle = (team.sharing, team.handle) if team else (0, None)
        shape = ctypes.byref(ShapeStruct(self._call.steps, self._call.batch, sharing, handle))
        needed = loaded.library.workspace_bytes(loaded.handle, shape)
        if RUN_MEMORY.taken() + needed > RUN_MEMORY.limit:
            raise RUN_MEMORY.no_room(needed)
        made = loaded.library.workspace_new(loaded.handle, shape)
        self._workspace = _owned(self, made, loaded.library.workspace_free, loaded, team)
        RUN_MEMORY.charge(self, needed)


_Field = tuple[ctypes.Structure, str, int]
"""A field of a struct that points into an array, and how many bytes from where that begins."""


def _owned(owner: object, handle: int | None, free: Callable[[int], None], *needed: object) -> int:
    """A handle that is freed with its owner, and before what it still needs for that. Raises OutOfMemory."""
    if not handle:
        raise RUN_MEMORY.no_room()
    weakref.finalize(owner, _freed, free, handle, needed)
    return handle


def _freed(free: Callable[[int], None], handle: int, _needed: Sequence[object]) -> None:
    free(handle)


def _point(fields: Sequence[_Field], array: Array) -> None:
    if fields:
        address = _address(array)
        for struct, field, offset in fields:
            setattr(struct, field, address + offset)


def _address(array: Array) -> int:
    """Where an array begins: of one that can be written the quickest way, since of short runs each call shows."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array.data))
    except (TypeError, ValueError):  # it cannot be written, or is empty
        return int(array.ctypes.data)


def _given(view: ValueView, given: Mapping[str, Shape]) -> tuple[list[int], Strided]:
    """The sizes of the three axes of what is given, and where they lie. Raises UnfitValues."""
    assert isinstance(view.source, str)
    shape = given[view.source]
    atoms = [axis[0] if axis else "" for axis in view.axes]
    rank = 1 + max(int(atom) for atom in (*view.sizes, *atoms) if atom)
    if len(shape) != rank:
        raise _unfit(f"a value of the shape {list(shape)} has {len(shape)} axes, not {rank}")
    for place, size in enumerate(shape):
        atom = str(place)
        least = view.starts[atom] + view.sizes[atom] if atom in view.starts else size if atom in atoms else 1
        if size < least or (atom not in atoms and atom not in view.starts and size != 1):
            raise _unfit(f"axis {place} of a value of the shape {list(shape)} does not have the size that was declared")
    sizes = [1 if not atom else view.sizes[atom] if atom in view.starts else shape[int(atom)] for atom in atoms]
    strides = {str(place): int(np.prod(shape[place + 1 :])) for place in range(rank)}
    offset = sum(start * strides[atom] for atom, start in view.starts.items())
    found = {f"{number}": strides[atom] if atom else 0 for number, atom in enumerate(atoms)}
    return sizes, Strided(offset, found)


def _expect(what: str, found: int, expected: int, of: str) -> None:
    if found != expected:
        raise _unfit(f"{what} of a recurrent layer has {found} {of}, not {expected}")


def _unfit(text: str) -> RunError:
    return UnfitValues(f"the model fails on these values: {text}")


def _dense(tensor: Tensor) -> Array:
    """A host array that the kernels can read: as it is, if it can be."""
    array = np.asarray(tensor)
    return array if array.flags.c_contiguous and array.flags.aligned else np.array(array, order="C")
