"""The families of generated recurrent models that tests and benchmarks run."""

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from chrion_api import ChrionError
from chrion_models.families import crnn, encoder_decoder, stack, unrolled
from chrion_models.families.case import ModelCase

__all__ = ["FAMILIES", "Family", "ModelCase", "cases", "find"]


@dataclass(frozen=True)
class Family:
    """Models of one structure: all that benchmarks cover, and a few quick ones that still show every trait."""

    full: Callable[[], Iterator[ModelCase]]
    small: Callable[[], Iterator[ModelCase]]


FAMILIES: dict[str, Family] = {
    "stack": Family(stack.full, stack.small),
    "unrolled": Family(unrolled.full, unrolled.small),
    "encoder-decoder": Family(encoder_decoder.full, encoder_decoder.small),
    "crnn": Family(crnn.full, crnn.small),
}


def cases(small: bool = False, family: str | None = None) -> tuple[ModelCase, ...]:
    """The full suite or the quick subset, of one family or of all; raises KeyError on an unknown family."""
    chosen = FAMILIES.values() if family is None else [FAMILIES[family]]
    return tuple(case for entry in chosen for case in (entry.small if small else entry.full)())


def find(name: str) -> ModelCase:
    """The case of that name, in the full suite or the subset; raises ChrionError that names the nearest ones."""
    known = {case.name: case for case in (*cases(), *cases(small=True))}
    if name not in known:
        near = ", ".join(difflib.get_close_matches(name, known)) or ", ".join(sorted(known)[:3]) + ", …"
        raise ChrionError(f'"{name}" is not a model of the suite; there are {near}')
    return known[name]
