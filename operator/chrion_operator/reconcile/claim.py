"""A condition's value before it is known when it came to be."""

from dataclasses import dataclass
from typing import Literal

from chrion_api import Reason


@dataclass(frozen=True, slots=True)
class Claim:
    """Whether a condition holds, and why."""

    status: Literal["True", "False", "Unknown"]
    reason: Reason
    message: str = ""
