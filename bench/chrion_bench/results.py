"""What one model's result says: how much faster the plan is, and how far it is from its limits."""

from collections.abc import Iterable, Mapping
from typing import Any

from chrion_bench.contenders import CONTROL, DEFAULT
from chrion_bench.limit import family_gap_closed, gap_closed
from chrion_bench.measure import PLAN

Data = Mapping[str, Any]
"""One model's result, as `measure` gives it."""

LIMIT, PHYSICAL = "limit", "physicalLimit"


def gain(item: Data, over: str = DEFAULT) -> float | None:
    """How many times as fast as the contender `over` the plan is; None where that one is absent."""
    base = item["contenders"][over]
    return float(item["contenders"][PLAN]["gain"] / base["gain"]) if "gain" in base else None


def noise(item: Data) -> float:
    """What the control shows that a model may come out at without being slower: 1 where there is no noise."""
    control = item["contenders"].get(CONTROL, {}).get("gain", 1.0)
    return float(min(control, 1 / control))


def times(item: Data, limit: str = LIMIT) -> tuple[float, float, float] | None:
    """Seconds of the default session, of the plan (by its gain, from figures of the same rounds), and of a limit; None
    where the machine has no such limit."""
    default = item["contenders"][DEFAULT]["p50"]
    found = item[limit]
    return None if found is None else (default, default / item["contenders"][PLAN]["gain"], found)


def closed(item: Data, limit: str = LIMIT) -> float | None:
    """The share of its gap to a limit that the plan has closed; see `gap_closed`."""
    found = times(item, limit)
    return gap_closed(*found) if found else None


def family_closed(items: Iterable[Data], limit: str = LIMIT) -> float | None:
    """The share for several models; see `family_gap_closed`."""
    return family_gap_closed(found for item in items if (found := times(item, limit)))


def families(results: Iterable[Data]) -> dict[str, list[Data]]:
    """The results by family, in the order in which families come first."""
    found: dict[str, list[Data]] = {}
    for item in results:
        found.setdefault(item["family"], []).append(item)
    return found
