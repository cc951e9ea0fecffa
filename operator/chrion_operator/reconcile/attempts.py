"""Attempts: how often a revision was planned, and with what it failed for good.

Kept as an annotation of the plan ConfigMap, so that it outlives the Jobs, which end after a day, and the operator.
"""

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Self

from chrion_api import Reason
from chrion_api.chrionmodel import GROUP
from chrion_operator import names, untrusted_json
from chrion_operator.names import Object

ATTEMPTS_ANNOTATION = f"{GROUP}/attempts"
"""On a plan ConfigMap: JSON of Attempts."""
ATTEMPT_ANNOTATION = f"{GROUP}/attempt"
"""On a Job: which attempt it is."""

LONGEST_MESSAGE = 4096
"""Characters of a failure's message; a condition shows a part of it."""

MOST_ATTEMPTS = 4
"""Jobs for one revision, each of which starts up to three pods."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a revision is not planned any more."""

    reason: Reason
    message: str
    container: str = "plan"
    """fetch or plan: which of the two failed."""

    @classmethod
    def of(cls, data: Any) -> Self | None:
        """A failure as it was written; None where there is none that can be read."""
        try:
            reason, message = Reason(data["reason"]), untrusted_json.text(data["message"], LONGEST_MESSAGE)
            container = untrusted_json.text(data["container"], names.LABEL_LIMIT)
        except (ValueError, KeyError, TypeError):
            return None
        return cls(reason, message, container) if message is not None and container is not None else None


@dataclass(frozen=True, slots=True)
class Attempts:
    """The attempts to plan one revision."""

    revision: str
    count: int = 1
    """The attempt that is under way, or was the last."""
    failure: Failure | None = None
    """Why there will be no further one."""

    @classmethod
    def of(cls, configmap: Object | None, revision: str) -> Self:
        """What a plan ConfigMap says of a revision; the first attempt where it says nothing that can be read."""
        annotations = (configmap or {}).get("metadata", {}).get("annotations") or {}
        data = untrusted_json.said(annotations.get(ATTEMPTS_ANNOTATION, ""))
        count = untrusted_json.whole(data.get("count"), 1, MOST_ATTEMPTS)
        if data.get("revision") != revision or count is None:
            return cls(revision)
        return cls(revision, count, Failure.of(data.get("failure")))

    def to_json(self) -> str:
        """As `of` reads it."""
        data: Object = {"revision": self.revision, "count": self.count}
        if self.failure is not None:
            data["failure"] = {
                "reason": self.failure.reason.value,
                "message": self.failure.message,
                "container": self.failure.container,
            }
        return json.dumps(data, sort_keys=True)

    @property
    def last(self) -> bool:
        """Whether there is no attempt after this one."""
        return self.count >= MOST_ATTEMPTS

    @property
    def back_off(self) -> timedelta:
        """How long to wait after this attempt failed: 10 s, 40 s, 160 s."""
        return timedelta(seconds=10 * 4 ** (self.count - 1))

    def next(self) -> Self:
        """One more."""
        return replace(self, count=self.count + 1)

    def failed(self, failure: Failure) -> Self:
        """None more."""
        return replace(self, failure=failure)
