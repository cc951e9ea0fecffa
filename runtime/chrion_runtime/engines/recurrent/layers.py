"""Packed layers, each kept once in this process for as long as some kernel uses it, whichever plan that is of."""

import ctypes
import hashlib
import weakref
from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chrion_api import WeightFormat
from chrion_runtime.devices.run_memory import RUN_MEMORY, no_room_for_weights
from chrion_runtime.engines.recurrent.library import LayerStruct, Library
from chrion_runtime.engines.recurrent.stack import ACTIVATIONS, KINDS, PRECISIONS, Direction, Level
from chrion_runtime.errors import PlanRefused

LayerWeights = Sequence[NDArray[np.float32] | None]
"""W, R and B of one direction of a layer; no B for zeros."""


_WIDEST = 1 << 15
"""Products of bytes are summed up in 32 bits: of so many none overflows."""


class PackedLayer:
    """One direction of a layer as the kernels read it."""

    def __init__(
        self,
        library: Library,
        level: Level,
        direction: Direction,
        weights: LayerWeights,
        kept: WeightFormat = WeightFormat.FLOAT32,
    ) -> None:
        """Raises PlanRefused where there is no memory, or weights cannot be kept so."""
        held = [None if one is None else np.ascontiguousarray(one, np.float32) for one in weights]
        if kept is not WeightFormat.FLOAT32 and not all(one is None or np.isfinite(one).all() for one in held):
            raise PlanRefused(f"weights of a recurrent layer are not finite, and cannot be kept as {kept}")
        if kept is WeightFormat.INT8 and max(level.inputs, level.units) > _WIDEST:
            raise PlanRefused(f"a recurrent layer of more than {_WIDEST:,} inputs or units cannot be kept as {kept}")
        places = [None if one is None else one.ctypes.data for one in held]
        numbers = [ACTIVATIONS.index(name) for name in direction.activations]
        description = LayerStruct(
            KINDS.index(level.kind),
            direction.reversed,
            (ctypes.c_int32 * 3)(*numbers),
            PRECISIONS.index(kept),
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


def packed_layer(
    library: Library,
    level: Level,
    direction: Direction,
    weights: LayerWeights,
    kept: WeightFormat = WeightFormat.FLOAT32,
) -> PackedLayer:
    """The layer of these weights, packed where it is not yet. Raises PlanRefused."""
    sha = hashlib.blake2b(digest_size=16)
    for one in weights:
        sha.update(b"-" if one is None else np.ascontiguousarray(one).data)
    key = (id(library), level.kind, direction, level.inputs, level.units, kept, sha.digest())
    with _guard:
        found = _packed.get(key)
        if found is None:
            found = _packed[key] = PackedLayer(library, level, direction, weights, kept)
        return found
