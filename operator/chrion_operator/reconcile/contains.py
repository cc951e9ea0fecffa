"""Whether an object still holds all that was applied to it, whatever the server and others added."""

import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from chrion_operator.names import Object

_KEYS = ("name", "mountPath", "containerPort", "port", "uid", "key", "topologyKey", "ip")
"""The fields by which lists of named things are merged, in the order in which they are tried."""

_SUFFIXES: dict[str, int | Decimal] = {
    "": 1, "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "k": 10**3, "M": 10**6, "G": 10**9,
    "T": 10**12, "P": 10**15, "E": 10**18, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60,
}  # fmt: skip


def contains(live: Any, wanted: Any) -> bool:
    """Whether `live` says all that `wanted` says.

    Mappings may hold more. Lists of things with names may hold more such things; other lists must be equal. What is
    empty may be left out, as the server leaves it out. Quantities may be written in another way.
    """
    if isinstance(wanted, Mapping):
        if live is None:
            live = {}
        return isinstance(live, Mapping) and all(contains(live.get(name), value) for name, value in wanted.items())
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        if not wanted:
            return not live
        return isinstance(live, Sequence) and not isinstance(live, str) and _list_contains(live, wanted)
    if live is None:
        return not wanted
    return bool(live == wanted) or _same_quantity(live, wanted)


def digest(manifest: Object) -> str:
    """A digest of a manifest, the same for equal ones."""
    return hashlib.sha256(orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def _list_contains(live: Sequence[Any], wanted: Sequence[Any]) -> bool:
    key = next((key for key in _KEYS if all(isinstance(item, Mapping) and key in item for item in wanted)), None)
    if key is None:
        return len(live) == len(wanted) and all(map(contains, live, wanted))
    return all(
        any(isinstance(item, Mapping) and item.get(key) == want[key] and contains(item, want) for item in live)
        for want in wanted
    )


def _same_quantity(live: Any, wanted: Any) -> bool:
    here, there = _quantity(live), _quantity(wanted)
    return here is not None and here == there


def _quantity(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value)
    number = text.rstrip("numkKMGTPEi")
    factor = _SUFFIXES.get(text[len(number) :])
    if factor is None:
        return None
    try:
        return Decimal(number) * factor
    except InvalidOperation:
        return None
