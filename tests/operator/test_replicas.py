"""Replicas are split over classes by largest remainder, whatever the numbers and their order."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from chrion_operator.nodes import NodeClass, split_replicas

class_lists = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(0, 50), max_size=6).map(
    lambda slots: [NodeClass(name, gpu=False, slots=count) for name, count in slots.items()]
)


@given(st.integers(0, 500), class_lists)
def test_the_split_keeps_the_total_and_the_quota(total: int, classes: list[NodeClass]) -> None:
    split = split_replicas(total, classes)
    assert set(split) == {cls.name for cls in classes}
    assert sum(split.values()) == (total if classes else 0)
    slots = sum(cls.slots for cls in classes)
    for cls in classes:
        share = Fraction(total * cls.slots, slots) if slots else Fraction(total, len(classes))
        assert abs(split[cls.name] - share) < 1


@given(st.integers(0, 500), class_lists, st.randoms())
def test_the_split_does_not_depend_on_the_order(total: int, classes: list[NodeClass], random: object) -> None:
    shuffled = sorted(classes, key=lambda cls: random.random())  # type: ignore[attr-defined]
    assert split_replicas(total, shuffled) == split_replicas(total, classes)


def test_what_is_left_goes_to_the_largest_remainders() -> None:
    classes = [
        NodeClass("a100", gpu=True, slots=8),
        NodeClass("h100", gpu=True, slots=4),
        NodeClass("t4", gpu=True, slots=1),
    ]
    assert split_replicas(1, classes) == {"a100": 1, "h100": 0, "t4": 0}
    assert split_replicas(5, classes) == {"a100": 3, "h100": 2, "t4": 0}
    assert split_replicas(13, classes) == {"a100": 8, "h100": 4, "t4": 1}


def test_classes_without_slots_count_alike() -> None:
    classes = [NodeClass("b", gpu=False), NodeClass("a", gpu=False)]
    assert split_replicas(3, classes) == {"a": 2, "b": 1}
