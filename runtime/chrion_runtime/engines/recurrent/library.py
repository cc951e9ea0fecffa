"""The compiled kernels: which build of them this processor runs, and their functions.

Structures and functions are those of `native/recurrent.h`, which says what they mean.
"""

import ctypes
import hashlib
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from chrion_runtime.devices.cpu import flags, instructions

FOLDER = Path(__file__).parent / "built"
"""Where the package's build puts them."""

FORCED = "CHRION_RECURRENT_BUILD"
"""Names the build to use, for tests and benches."""

SUMS = "SHA256SUMS"
"""The file in which the build says what each library is: one that is damaged could end the whole process."""

_AVX2 = "avx2 bmi1 bmi2 f16c fma movbe"

_AVX512 = f"{_AVX2} avx512f avx512bw avx512cd avx512dq avx512vl"

BUILDS: Mapping[str, frozenset[str]] = {
    "avx512-vnni": frozenset(f"{_AVX512} avx512_vnni".split()),
    "avx512": frozenset(_AVX512.split()),
    "avx2": frozenset(_AVX2.split()),
    "x86-64": frozenset({"sse2"}),
    "aarch64": frozenset({"asimd"}),
}
"""Builds, the fastest first, and what a processor must have to run them: see `devices.cpu.flags`."""


class StateStruct(ctypes.Structure):
    """See `struct state`."""

    _fields_ = (("values", ctypes.c_void_p), ("direction_stride", ctypes.c_int64), ("row_stride", ctypes.c_int64))


class LevelStatesStruct(ctypes.Structure):
    """See `struct level_states`."""

    _fields_ = (
        ("first_hidden", StateStruct),
        ("first_cell", StateStruct),
        ("last_hidden", StateStruct),
        ("last_cell", StateStruct),
    )


class CallStruct(ctypes.Structure):
    """See `struct call`."""

    _fields_ = (
        ("steps", ctypes.c_int64),
        ("batch", ctypes.c_int64),
        ("x", ctypes.c_void_p),
        ("x_step", ctypes.c_int64),
        ("x_row", ctypes.c_int64),
        ("y", ctypes.c_void_p),
        ("y_step", ctypes.c_int64),
        ("y_direction", ctypes.c_int64),
        ("y_row", ctypes.c_int64),
        ("lengths", ctypes.c_void_p),
        ("states", ctypes.c_void_p),
        ("stop", ctypes.c_void_p),
    )


class ShapeStruct(ctypes.Structure):
    """See `struct shape`."""

    _fields_ = (
        ("steps", ctypes.c_int64),
        ("batch", ctypes.c_int64),
        ("sharing", ctypes.c_int32),
        ("team", ctypes.c_void_p),
    )


class LayerStruct(ctypes.Structure):
    """See `struct layer_description`."""

    _fields_ = (
        ("kind", ctypes.c_int32),
        ("reversed", ctypes.c_int32),
        ("activations", ctypes.c_int32 * 3),
        ("precision", ctypes.c_int32),
        ("inputs", ctypes.c_int64),
        ("units", ctypes.c_int64),
        ("input", ctypes.c_void_p),
        ("recurrent", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
    )


class Library:
    """The functions of one build."""

    def __init__(self, path: Path) -> None:
        """Raises LibraryMissing, or OSError or AttributeError where it is no such library at all."""
        functions = ctypes.CDLL(str(path))
        pointer = ctypes.c_void_p
        if functions.interface_version() != INTERFACE:
            raise LibraryMissing(f"{path} belongs to another version of Chrion; {_AGAIN}")
        self.layer_new = _typed(functions.layer_new, pointer, pointer)
        self.layer_free = _typed(functions.layer_free, None, pointer)
        self.stack_new = _typed(functions.stack_new, pointer, ctypes.c_int32, pointer)
        self.stack_free = _typed(functions.stack_free, None, pointer)
        self.team_new = _typed(functions.team_new, pointer, ctypes.c_int32, ctypes.c_int64)
        self.team_free = _typed(functions.team_free, None, pointer)
        self.workspace_bytes = _typed(functions.workspace_bytes, ctypes.c_int64, pointer, pointer)
        self.workspace_new = _typed(functions.workspace_new, pointer, pointer, pointer)
        self.workspace_free = _typed(functions.workspace_free, None, pointer)
        self.stack_run = _typed(functions.stack_run, ctypes.c_int32, pointer, pointer)


def _typed(function: "ctypes._NamedFuncPointer", result: type | None, *arguments: type) -> "ctypes._NamedFuncPointer":
    function.restype = result
    function.argtypes = arguments
    return function


_AGAIN = "install Chrion again"

INTERFACE = 4
"""What `interface_version` of a library says that goes with this module."""


@cache
def library() -> Library:
    """The fastest build that this processor runs. Raises LibraryMissing."""
    forced = os.environ.get(FORCED, "")
    if forced and forced not in BUILDS:
        raise LibraryMissing(f"{FORCED} is {forced}; it must be one of {', '.join(BUILDS)}")
    names = [name for name, needs in BUILDS.items() if needs <= flags() and forced in ("", name)]
    if not names:
        raise LibraryMissing(f"this processor ({instructions() or os.uname().machine}) cannot run {forced or 'them'}")
    path = next((path for name in names if (path := FOLDER / f"recurrent-{name}.so").is_file()), None)
    if path is None and any(FOLDER.glob("*.so")):
        raise LibraryMissing(f"those in {FOLDER} are for other processors; {_AGAIN}")
    if path is None:
        raise LibraryMissing("there was no C compiler to build them; install gcc and libc6-dev, then Chrion again")
    if not _undamaged(path):
        raise LibraryMissing(f"{path} is damaged; {_AGAIN}")
    try:
        return Library(path)
    except (OSError, AttributeError) as error:
        why = str(error).removeprefix(f"{path}: ")
        raise LibraryMissing(f"{path} cannot be loaded ({why}); {_AGAIN}") from None


def _undamaged(path: Path) -> bool:
    try:
        lines = (FOLDER / SUMS).read_text(encoding="ascii").splitlines()
        return f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" in lines
    except (OSError, UnicodeDecodeError):
        return False


class LibraryMissing(Exception):
    """There are no kernels that can be used: why, to be said after that, and what to do."""
