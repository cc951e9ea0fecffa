"""What a planner's Job and its pods say: how far it is, what it waits for, why it failed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from chrion_api import Reason
from chrion_api.handover import PERMANENT
from chrion_operator import untrusted_json
from chrion_operator.names import Object

LONGEST_MESSAGE = 4096
"""Characters of a container's last message; Kubernetes keeps as many bytes."""

FETCH, PLAN = "fetch", "plan"
"""The containers of a planner's pod."""


class Phase(Enum):
    """Where a Job is."""

    RUNNING = auto()
    """At work, or about to be."""
    WAITING = auto()
    """For something outside: a node, a GPU, an image, a queue."""
    SUCCEEDED = auto()
    FAILED = auto()
    """It may be tried again."""
    REFUSED = auto()
    """It would fail again."""


@dataclass(frozen=True, slots=True)
class JobReport:
    """What a Job and its pods say."""

    phase: Phase
    reason: Reason = Reason.PLANNING
    message: str = ""
    container: str = PLAN
    """fetch or plan: which of the two it is about."""
    ended: datetime | None = None
    """When it succeeded or failed."""
    unfinished: bool = False
    """Whether the Job would start further pods although it need not."""


def report(job: Object, pods: Sequence[Object]) -> JobReport:
    """What a Job and its pods say."""
    conditions = {
        condition["type"]: condition
        for condition in job.get("status", {}).get("conditions", ())
        if condition["status"] == "True"
    }
    if (done := conditions.get("Complete")) is not None:
        return JobReport(Phase.SUCCEEDED, ended=_time(done))
    last = _last_words(pods)
    failed = conditions.get("Failed")
    if last is not None and last.permanent:
        ended = _time(failed) if failed is not None else None
        return JobReport(Phase.REFUSED, last.reason, last.message, last.container, ended, unfinished=failed is None)
    if failed is not None:
        return _failure(failed, last)
    if job.get("spec", {}).get("suspend"):
        return JobReport(Phase.WAITING, Reason.PENDING, "the Job is suspended until its queue admits it")
    waiting = next(filter(None, map(_waits_for, pods)), None)
    if waiting is not None:
        return waiting
    retried = f"; the previous attempt failed: {last.message}" if last is not None else ""
    doing = "starting the planner"
    if any(_state(pod, FETCH, "running") for pod in pods):
        doing = "fetching the model"
    elif any(_state(pod, PLAN, "running") for pod in pods):
        doing = "planning"
    return JobReport(Phase.RUNNING, Reason.PLANNING, doing + retried, FETCH if doing.startswith("fetch") else PLAN)


@dataclass(frozen=True, slots=True)
class _Words:
    reason: Reason
    message: str
    permanent: bool
    container: str
    recurs: bool = False
    """Whether it is of no use to try further Jobs after this one's pods."""


def _failure(failed: Object, last: _Words | None) -> JobReport:
    if failed.get("reason") == "DeadlineExceeded":
        text = "the planner took longer than spec.planner.timeout; raise it, or use a smaller model"
        return JobReport(Phase.FAILED, Reason.PLANNER_FAILED, text, PLAN, _time(failed))
    if last is None:
        text = failed.get("message") or "the Job failed"
        return JobReport(Phase.FAILED, Reason.PLANNER_FAILED, text, PLAN, _time(failed))
    phase = Phase.REFUSED if last.recurs else Phase.FAILED
    return JobReport(phase, last.reason, last.message, last.container, _time(failed))


def _last_words(pods: Iterable[Object]) -> _Words | None:
    """Of the container that ended last with an error."""
    ended: list[tuple[str, _Words]] = []
    for pod in pods:
        for status in _containers(pod):
            for field in ("state", "lastState"):
                terminated = (status.get(field) or {}).get("terminated")
                if terminated and terminated.get("exitCode"):
                    last = _words(terminated, status["name"])
                    ended.append((str(terminated.get("finishedAt") or ""), last))
        if pod.get("status", {}).get("reason") == "Evicted":
            message = f"the planner's pod was evicted: {pod['status'].get('message', '')}".rstrip(": ")
            ended.append(("", _Words(Reason.PLANNER_FAILED, message, False, PLAN)))
    return max(ended, key=lambda item: item[0])[1] if ended else None


def _words(terminated: Object, container: str) -> _Words:
    code = terminated["exitCode"]
    if terminated.get("reason") == "OOMKilled":
        message = f"the {container} container ran out of memory; raise spec.planner.resources.limits.memory"
        return _Words(Reason.PLANNER_FAILED, message, False, container, recurs=True)
    text = str(terminated.get("message") or "").strip()
    said = untrusted_json.said(text)
    last_line = text.splitlines()[-1][:500] if text else f"the {container} container ended with exit code {code}"
    message = untrusted_json.text(said.get("message"), LONGEST_MESSAGE) or last_line
    try:
        reason = Reason(str(said.get("reason")))
    except ValueError:
        reason = Reason.PLANNER_FAILED
    return _Words(reason, message, bool(said.get("permanent", code == PERMANENT)), container)


def _waits_for(pod: Object) -> JobReport | None:
    status = pod.get("status", {})
    if status.get("phase") != "Pending":
        return None
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            message = condition.get("message") or "no node has room for the planner's pod"
            return JobReport(Phase.WAITING, Reason.UNSCHEDULABLE, message)
    stuck = stuck_container(pod)
    if stuck is not None:
        name, message = stuck
        return JobReport(Phase.WAITING, Reason.POD_BLOCKED, message, FETCH if name == FETCH else PLAN)
    return None


_STUCK = (
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
)


def stuck_container(pod: Object) -> tuple[str, str] | None:
    """The container that cannot start, and why in one line; None where each can."""
    for status in _containers(pod):
        waiting = (status.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in _STUCK:
            why = waiting.get("message") or status.get("image") or ""
            return status["name"], f"container {status['name']} cannot start: {waiting['reason']}: {why}".rstrip(": ")
    return None


def _containers(pod: Object) -> list[Object]:
    status = pod.get("status", {})
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _state(pod: Object, container: str, state: str) -> bool:
    return any(status["name"] == container and state in (status.get("state") or {}) for status in _containers(pod))


def _time(condition: Object) -> datetime | None:
    text = condition.get("lastTransitionTime")
    return datetime.fromisoformat(text) if text else None
