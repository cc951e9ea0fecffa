"""Packed layers, each kept once in this process for as long as some kernel uses it, whichever plan that is of."""

import ctypes
import hashlib
import weakref
from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chrion_runtime.devices.run_memory import RUN_MEMORY, no_room_for_weights
from chrion_runtime.engines.recurrent.library import LayerStruct, Library
from chrion_runtime.engines.recurrent.stack import ACTIVATIONS, KINDS, Direction, Level

Weights = Sequence[NDArray[np.float32] | None]
"""W, R and B of one direction of a layer; no B for zeros."""


class PackedLayer:
    """One direction of a layer as the kernels read it."""

    def __init__(self, library: Library, level: Level, direction: Direction, weights: Weights) -> None:
        """Raises PlanRefused."""
        held = [None if one is None else np.ascontiguousarray(one, np.float32) for one in weights]
        places = [None if one is None else one.ctypes.data for one in held]
        numbers = [ACTIVATIONS.index(name) for name in direction.activations]
        description = LayerStruct(
            KINDS.index(level.kind),
            direction.reversed,
            (ctypes.c_int32 * 3)(*numbers),
            level.inputs,
            level.units,
            *places,
        )
        self.handle: int | None = library.layer_new(ctypes.byref(description))
        if not self.handle:
            raise no_room_for_weights(RUN_MEMORY.limit)
        weakref.finalize(self, library.layer_free, self.handle)


_packed: "weakref.WeakValueDictionary[tuple[Any, ...], PackedLayer]" = weakref.WeakValueDictionary()
_guard = Lock()


def packed_layer(library: Library, level: Level, direction: Direction, weights: Weights) -> PackedLayer:
    """The layer of these weights, packed where it is not yet. Raises PlanRefused."""
    sha = hashlib.blake2b(digest_size=16)
    for one in weights:
        sha.update(b"-" if one is None else np.ascontiguousarray(one).data)
    key = (id(library), level.kind, direction, level.inputs, level.units, sha.digest())
    with _guard:
        found = _packed.get(key)
        if found is None:
            found = _packed[key] = PackedLayer(library, level, direction, weights)
        return found
