"""The compiled kernels: which build of them this processor runs, and their functions.

Structures and functions are those of `native/recurrent.h`, which says what they mean.
"""

import ctypes
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from chrion_runtime.devices.cpu import instructions

FOLDER = Path(__file__).parent / "built"
"""Where the package's build puts them."""

FORCED = "CHRION_RECURRENT_BUILD"
"""Names the build to use, for tests and benches."""

BUILDS: Mapping[str, tuple[str, ...]] = {
    "avx512": ("avx512", "avx2", "x86-64"),
    "avx2": ("avx2", "x86-64"),
    "avx": ("x86-64",),
    "sse2": ("x86-64",),
    "sve": ("aarch64",),
    "neon": ("aarch64",),
}
"""By the widest vector instructions of a processor the builds that it runs, the fastest first."""


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
        ("inputs", ctypes.c_int64),
        ("units", ctypes.c_int64),
        ("input", ctypes.c_void_p),
        ("recurrent", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
    )


class Library:
    """The functions of one build."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, AttributeError where it is no such library."""
        functions = ctypes.CDLL(str(path))
        pointer = ctypes.c_void_p
        self.version: int = functions.interface_version()
        self.layer_new = _typed(functions.layer_new, pointer, pointer)
        self.layer_free = _typed(functions.layer_free, None, pointer)
        self.stack_new = _typed(functions.stack_new, pointer, ctypes.c_int32, pointer)
        self.stack_free = _typed(functions.stack_free, None, pointer)
        self.team_new = _typed(functions.team_new, pointer, ctypes.c_int32, ctypes.c_int64)
        self.team_free = _typed(functions.team_free, None, pointer)
        self.workspace_bytes = _typed(functions.workspace_bytes, ctypes.c_int64, pointer, pointer)
        self.workspace_new = _typed(functions.workspace_new, pointer, pointer, pointer)
        self.workspace_free = _typed(functions.workspace_free, None, pointer)
        self.stack_run = _typed(functions.stack_run, ctypes.c_int32, pointer, pointer, pointer)


def _typed(function: "ctypes._NamedFuncPointer", result: type | None, *arguments: type) -> "ctypes._NamedFuncPointer":
    function.restype = result
    function.argtypes = arguments
    return function


INTERFACE = 2
"""What `interface_version` of a library says that goes with this module."""


@cache
def library() -> Library:
    """The fastest build that this processor runs. Raises LibraryMissing."""
    forced = os.environ.get(FORCED, "")
    names = [forced] if forced else BUILDS.get(instructions(), ())
    for name in names:
        path = FOLDER / f"recurrent-{name}.so"
        if not path.is_file():
            continue
        try:
            found = Library(path)
        except (OSError, AttributeError) as error:
            raise LibraryMissing(f"{path} cannot be loaded ({error}); install Chrion again") from None
        if found.version != INTERFACE:
            raise LibraryMissing(f"{path} is of another version of Chrion; install Chrion again")
        return found
    if not names:
        raise LibraryMissing(f"there is no build of it for this processor ({instructions() or os.uname().machine})")
    raise LibraryMissing("it was not built, since there was no C compiler; install one (gcc), and Chrion again")


class LibraryMissing(Exception):
    """There is no library that can be used, and why, to be said after what it would have been used for."""
