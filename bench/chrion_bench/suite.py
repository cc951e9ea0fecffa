"""The fixed suite of `make bench`, in its fixed order: any first part of it samples the whole evenly.

The real models and the unrolled grids come first; all others are interleaved so that kinds, directions, depths, widths,
lengths and batches, and every pair of them, fill up at the same pace.
"""

import hashlib
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from math import fsum
from pathlib import Path
from typing import Protocol

import onnx

from chrion_api import InputSpec
from chrion_models import families, real

REAL = "real"
UNROLLED = "unrolled"


class Write(Protocol):
    """Puts a model at a path."""

    def __call__(self, path: Path) -> None:
        """Write it; raises ChrionError where it cannot be had."""


@dataclass(frozen=True)
class Entry:
    """One model of the suite with the shapes that it is planned for."""

    name: str
    family: str
    """Results are reported by it, such as `lstm-bidirectional`."""
    inputs: tuple[InputSpec, ...]
    write: Write

    @property
    def whole_layer(self) -> bool:
        """Whether its recurrent layers are whole nodes, as in every model but the unrolled grids."""
        return self.family != UNROLLED


def suite() -> tuple[Entry, ...]:
    """Every model, in the order in which they are measured."""
    unrolled = [generated(case, UNROLLED) for case in families.cases(family=UNROLLED)]
    others = [
        generated(case, _family(case.name))
        for family in families.FAMILIES
        if family != UNROLLED
        for case in families.cases(family=family)
    ]
    order = interleaved({entry.name: traits(entry.name) for entry in others})
    by_name = {entry.name: entry for entry in others}
    return (*_real(), *unrolled, *(by_name[name] for name in order))


def _real() -> Iterator[Entry]:
    for frames in (50, 200):
        shape = InputSpec(name="input", shape=(1, frames, 161))
        yield Entry(f"nsnet2-f{frames}", REAL, (shape,), partial(_fetched, "nsnet2.onnx"))
    silero = (
        InputSpec(name="input", shape=(1, 576)),
        InputSpec(name="state", shape=(2, 1, 128)),
        InputSpec(name="sr", shape=(), value=16000),
    )
    yield Entry("silero_vad", REAL, silero, partial(_fetched, "silero_vad.onnx"))


def _fetched(file: str, path: Path) -> None:
    shutil.copyfile(real.fetch(files=[file])[file], path)


def generated(case: families.ModelCase, family: str) -> Entry:
    """A generated model as an entry of a suite."""
    return Entry(case.name, family, case.specs, partial(_built, case))


def _built(case: families.ModelCase, path: Path) -> None:
    onnx.save(case.build(), path)


def _family(name: str) -> str:
    """The stacks by kind and direction, the others by their structure."""
    first, second, *_ = name.split("-")
    return f"{first}-{second}" if second in ("forward", "bidirectional") else first


def traits(name: str) -> frozenset[str]:
    """What tells a generated model from others by its name: its words, its letters with numbers, and all pairs."""
    parts = name.split("-")
    words = [part for part in parts if not re.fullmatch(r"[a-z]\d+", part)]
    single = sorted({*words, "-".join(words), *(part for part in parts if part not in words)})
    return frozenset((*single, *map("&".join, combinations(single, 2))))


def interleaved(traits_of: Mapping[str, frozenset[str]]) -> Sequence[str]:
    """The names so ordered that each next one has the traits of which the least part has come already.

    Ties are broken by a hash of the name, so that the order says nothing of size.
    """
    total = Counter(trait for found in traits_of.values() for trait in found)
    come: Counter[str] = Counter()
    left = sorted(traits_of, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    order: list[str] = []
    while left:
        name = min(left, key=lambda name: fsum(come[trait] / total[trait] for trait in traits_of[name]))
        left.remove(name)
        order.append(name)
        come.update(traits_of[name])
    return order
