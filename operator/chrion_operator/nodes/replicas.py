"""Replicas: how many of a model's replicas each node class gets."""

from collections.abc import Sequence
from fractions import Fraction

from chrion_operator.nodes.classes import NodeClass


def split_replicas(total: int, classes: Sequence[NodeClass]) -> dict[str, int]:
    """Replicas by class, in proportion to slots, by largest remainder (Hamilton's method).

    Each class gets the whole part of its share; what is left goes one by one to the largest remainders, and among
    equal ones to the class with more slots, then to the name that comes first. Where no class has slots, all count
    alike. The sum is `total`, or nothing at all where there is no class.
    """
    if not classes:
        return {}
    slots = {cls.name: cls.slots for cls in classes}
    if not any(slots.values()):
        slots = dict.fromkeys(slots, 1)
    whole = sum(slots.values())
    shares = {name: Fraction(total * count, whole) for name, count in slots.items()}
    split = {name: int(share) for name, share in shares.items()}
    by_remainder = sorted(shares, key=lambda name: (split[name] - shares[name], -slots[name], name))
    for name in by_remainder[: total - sum(split.values())]:
        split[name] += 1
    return split
