"""Amounts: how many of an extended resource a quantity says, such as 4, "4" or "1k"."""

from typing import Any

from chrion_api import Quantity


def whole_number(quantity: Any) -> int:
    """The number; 0 for what is none, since it comes from objects that others write."""
    try:
        return Quantity(str(quantity)).bytes
    except ValueError:
        return 0
