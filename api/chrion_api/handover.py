"""What a planner's or runtime's pod and the operator say to each other: the plan's ConfigMap, and how a pod ended."""

from typing import Any

from pydantic import field_validator

from chrion_api.chrionmodel import GROUP
from chrion_api.document import Document
from chrion_api.one_line import one_line
from chrion_api.status import Reason

PLAN_KEY = "plan.json"
"""The plan file in its ConfigMap: in `data`, or in `binaryData` and compressed with gzip where it is large."""
REVISION_ANNOTATION = f"{GROUP}/revision"
"""On a plan's ConfigMap: the revision that is wanted; the operator's."""
PLANNED_ANNOTATION = f"{GROUP}/planned"
"""On a plan's ConfigMap: the revision that its data is for; the planner's, in the same patch as the data."""
PROGRESS_ANNOTATION = f"{GROUP}/progress"
"""On a plan's ConfigMap: a `PlanProgress`; the planner's."""

PERMANENT = 42
"""The exit code of what fails alike when it is tried again; 1 is what may pass."""
TERMINATION_BYTES = 4096
"""What Kubernetes keeps of a termination message."""

FETCH_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "GOOGLE_CREDENTIALS",
    "HTTP_TOKEN",
    "HTTP_USERNAME",
    "HTTP_PASSWORD",
    "HF_TOKEN",
    "HF_ENDPOINT",
)
"""The environment variables that `chrion fetch` reads, and so the keys that a Secret of `spec.model.secretRef` may
have. A Secret is best given key by key: with all its keys as they are it could set PYTHONPATH or LD_PRELOAD."""


class PlanProgress(Document):
    """How far a planner is."""

    percent: int
    """From 0 to 100; never less than before."""
    doing: str
    """What it is at."""
    revision: str = ""
    """What it plans: news of an earlier one are no news."""


class Termination(Document):
    """A container's last words, as its termination message has them."""

    reason: Reason
    """Why it ended, for programs."""
    message: str = ""
    """Why it ended, in one sentence for people."""
    permanent: bool = False
    """Whether it would end alike if it were tried again."""
    sha256: str | None = None
    """The model's digest, where a fetch succeeded."""

    @field_validator("message", mode="before")
    @classmethod
    def _one_line(cls, message: Any) -> Any:
        """Names of models stand in messages: they must break no line, nor the limit of Kubernetes."""
        return one_line(message, 800) if isinstance(message, str) else message
