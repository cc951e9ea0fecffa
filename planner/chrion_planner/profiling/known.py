"""Figures of a device that are known from other profiles, of whatever models."""

from typing import Protocol, Self

from pydantic import Field

from chrion_api import DeviceKey, DeviceProfile
from chrion_api.document import Document

_MOST_NODES, _MOST_WHOLES, _MOST_PARTS = 10_000, 1_000, 1_000
"""The latest of these are kept."""
_SAME_SPEED = 0.1
"""The part by which reference runs may differ where figures still hold."""


class Known(Document):
    """What was measured on one device, by a machine that was as fast as the reference run says."""

    reference_seconds: float = Field(gt=0)
    device: DeviceProfile

    def holds(self, reference_seconds: float) -> bool:
        """Whether the machine is as fast as it was."""
        return abs(reference_seconds / self.reference_seconds - 1) < _SAME_SPEED

    def joined(self, newer: Self) -> Self:
        """These figures and newer ones, which count where both have one, and alone where these hold no more."""
        if not self.holds(newer.reference_seconds):
            return newer
        runs = {
            whole.model_copy(update={"seconds": 1}).to_json(): whole
            for whole in (*self.device.wholes, *newer.device.wholes)
        }
        parts = {
            part.model_copy(update={"seconds": 1, "crowded_seconds": None}).to_json(): part
            for part in (*self.device.parts, *newer.device.parts)
        }
        both = newer.device.model_copy(
            update={
                "nodes": dict(list({**self.device.nodes, **newer.device.nodes}.items())[-_MOST_NODES:]),
                "wholes": tuple(runs.values())[-_MOST_WHOLES:],
                "parts": tuple(parts.values())[-_MOST_PARTS:],
            }
        )
        return newer.model_copy(update={"device": both})


class Figures(Protocol):
    """Where figures are kept from one profile to the next."""

    def read(self, key: DeviceKey, lanes: int) -> Known | None:
        """What is known of a device; None where that is nothing."""

    def keep(self, found: Known) -> None:
        """Keep these too."""
