"""Planning: how one node class comes to a frontier of the wanted revision."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from chrion_api import ChrionModelSpec, Reason
from chrion_api.handover import PLAN_KEY, PLANNED_ANNOTATION, PROGRESS_ANNOTATION
from chrion_operator import manifests, names, untrusted_json
from chrion_operator.manifests import Server
from chrion_operator.names import Object
from chrion_operator.nodes import NodeClass
from chrion_operator.reconcile.attempts import ATTEMPT_ANNOTATION, ATTEMPTS_ANNOTATION, Attempts, Failure
from chrion_operator.reconcile.jobs import PLAN, JobReport, Phase, report
from chrion_operator.reconcile.observed import Copy, Delete, Observed, Patch, SeenObject
from chrion_operator.reconcile.summary import PlanSummary
from chrion_operator.revision import revision
from chrion_operator.settings import Settings

HAND_IN = timedelta(seconds=15)
"""After a Job's success, how late the news of its plan may be: the two are watched apart."""

_LOST = frozenset({Reason.WAITING_FOR_GPU, Reason.UNSCHEDULABLE, Reason.POD_BLOCKED, Reason.PENDING})
"""What a Job may have waited for until its deadline without a fault of its own."""


@dataclass(frozen=True)
class Planning:
    """Where one node class is on its way to a plan."""

    cls: NodeClass
    revision: str
    frontier: PlanSummary | None
    """The checked plan of this revision that pods can mount; None before there is one."""
    report: JobReport
    """How the planner does; of no interest once there is a frontier."""
    percent: int | None = None
    """How far the planner is."""
    refused: str = ""
    """Why what stands in the plan's ConfigMap is not taken, although the frontier serves."""
    share: tuple[Object, ...] = ()
    apply: tuple[Object, ...] = ()
    copy: tuple[Copy, ...] = ()
    patch: tuple[Patch, ...] = ()
    delete: tuple[Delete, ...] = ()
    again_after: float | None = None

    @property
    def done(self) -> bool:
        """Whether this class can serve the wanted revision."""
        return self.frontier is not None

    @property
    def gave_up(self) -> bool:
        """Whether nothing more will be tried until a person changes something."""
        return not self.done and self.report.phase is Phase.REFUSED


@dataclass(frozen=True)
class Situation:
    """What every decision about one ChrionModel is made from."""

    owner: Object
    spec: ChrionModelSpec
    observed: Observed
    settings: Settings
    server: Server
    now: datetime
    reasons: Mapping[str, Reason] = field(default_factory=dict)
    """The reasons of the conditions as they were, by type."""

    @property
    def model(self) -> str:
        """The ChrionModel's name."""
        return names.model_name(self.owner)


def plan_class(at: Situation, cls: NodeClass) -> Planning:
    """What is to be done so that a node class has a frontier of the wanted revision."""
    wanted = revision(at.owner, at.spec, cls, at.settings)
    frontier = _intact(at.observed.get("ConfigMap", names.frontier_name(at.model, cls.name, wanted)))
    name, source = _source(at, cls, wanted)
    if source is not None and not source.problem and (frontier is None or frontier.digest != source.digest):
        copy = Copy(name, cls, wanted, reference=at.spec.plan_ref is not None)
        return Planning(cls, wanted, None, JobReport(Phase.RUNNING), copy=(copy,))
    problem = source.problem if source is not None else ""
    accounts = () if at.spec.plan_ref is not None else _accounts(at, cls)
    if frontier is not None:
        kept = () if at.spec.plan_ref is not None else (_configmap(at, cls, _attempts(at, cls, wanted)),)
        return Planning(cls, wanted, frontier, JobReport(Phase.SUCCEEDED), refused=problem, apply=(*accounts, *kept))
    if at.spec.plan_ref is not None:
        return _referenced(at, cls, wanted, problem)
    return _by_job(at, cls, wanted, problem, accounts)


def _referenced(at: Situation, cls: NodeClass, wanted: str, problem: str) -> Planning:
    assert at.spec.plan_ref is not None
    if problem:
        said = JobReport(Phase.REFUSED, Reason.PLAN_REFUSED, problem)
    else:
        text = f"spec.planRef: this namespace has no ConfigMap {at.spec.plan_ref.name} with a key {PLAN_KEY}"
        said = JobReport(Phase.WAITING, Reason.PLAN_NOT_FOUND, text)
    return Planning(cls, wanted, None, said)


def _by_job(at: Situation, cls: NodeClass, wanted: str, problem: str, accounts: tuple[Object, ...]) -> Planning:
    attempts = _attempts(at, cls, wanted)
    if attempts.failure is not None:
        failure = attempts.failure
        said = JobReport(Phase.REFUSED, failure.reason, failure.message, failure.container)
        return Planning(cls, wanted, None, said, apply=(*accounts, _configmap(at, cls, attempts)))
    job = at.observed.get("Job", names.job_name(at.model, cls.name, wanted))
    if job is None:
        made = _job(at, cls, wanted, attempts)
        said = JobReport(Phase.RUNNING, Reason.PLANNING, "starting the planner")
        share = (manifests.figures_configmap(at.owner, cls),)
        return Planning(cls, wanted, None, said, share=share, apply=(*accounts, _configmap(at, cls, attempts), made))
    applied = (*accounts, _configmap(at, cls, attempts))
    if _attempt(job.object) < attempts.count:
        said = JobReport(Phase.RUNNING, Reason.PLANNING, "starting the planner again")
        return Planning(cls, wanted, None, said, apply=applied, delete=(_deletion(job, "Job"),))
    said = report(job.object, _pods_of(at, job))
    match said.phase:
        case Phase.SUCCEEDED:
            return _ended_without_plan(at, cls, attempts, job, said, problem, accounts)
        case Phase.FAILED if _only_waited(at, job):
            again = JobReport(Phase.WAITING, Reason.PENDING, "the Job waited until its deadline; starting a new one")
            return Planning(cls, wanted, None, again, apply=applied, delete=(_deletion(job, "Job"),))
        case Phase.FAILED:
            return _try_again(at, cls, attempts, job, said, accounts)
        case Phase.REFUSED:
            failed = attempts.failed(Failure(said.reason, said.message, said.container))
            # The Job is kept to look at its log, and ended so that it starts no further pods.
            named = job.object["metadata"]
            end = (Patch("Job", named["name"], named["uid"], {"spec": {"activeDeadlineSeconds": 1}}),)
            applied = (*accounts, _configmap(at, cls, failed))
            return Planning(cls, wanted, None, said, apply=applied, patch=end if said.unfinished else ())
        case _:
            percent, doing = (
                _progress(at, cls, wanted) if said.phase is Phase.RUNNING and said.container == PLAN else (None, "")
            )
            said = _with_holders(at, cls, said)
            if doing:
                said = JobReport(said.phase, said.reason, doing, said.container)
            return Planning(cls, wanted, None, said, percent, apply=applied)


def _ended_without_plan(
    at: Situation,
    cls: NodeClass,
    attempts: Attempts,
    job: SeenObject,
    said: JobReport,
    problem: str,
    accounts: tuple[Object, ...],
) -> Planning:
    """Its plan may be on the way; or it was deleted, or spoilt, before it was copied."""
    late = (said.ended or at.now) + HAND_IN - at.now
    if not problem and late > timedelta(0):
        waiting = JobReport(Phase.RUNNING, Reason.PLANNING, "reading the plan")
        applied = (*accounts, _configmap(at, cls, attempts))
        return Planning(cls, attempts.revision, None, waiting, 100, apply=applied, again_after=late.total_seconds())
    text = problem or f"the planner succeeded, but its plan is not in ConfigMap {names.plan_name(at.model, cls.name)}"
    reason = Reason.PLAN_REFUSED if problem else Reason.PLANNER_FAILED
    return _try_again(at, cls, attempts, job, JobReport(Phase.FAILED, reason, text, PLAN, said.ended), accounts)


def _try_again(
    at: Situation, cls: NodeClass, attempts: Attempts, job: SeenObject, said: JobReport, accounts: tuple[Object, ...]
) -> Planning:
    wanted = attempts.revision
    if attempts.last:
        help_ = f"change the spec or the annotation {names.REPLAN_ANNOTATION} to try again"
        text = f"{said.message} (gave up after {attempts.count} attempts; {help_})"
        given_up = JobReport(Phase.REFUSED, said.reason, text, said.container)
        failed = attempts.failed(Failure(given_up.reason, given_up.message, given_up.container))
        return Planning(cls, wanted, None, given_up, apply=(*accounts, _configmap(at, cls, failed)))
    wait = (said.ended or at.now) + attempts.back_off - at.now
    if wait > timedelta(0):
        applied = (*accounts, _configmap(at, cls, attempts))
        return Planning(cls, wanted, None, said, apply=applied, again_after=wait.total_seconds())
    applied = (*accounts, _configmap(at, cls, attempts.next()))
    return Planning(cls, wanted, None, said, apply=applied, delete=(_deletion(job, "Job"),))


def _only_waited(at: Situation, job: SeenObject) -> bool:
    ended = job.object.get("status", {}).get("conditions", ())
    expired = any(condition.get("reason") == "DeadlineExceeded" for condition in ended)
    return expired and at.reasons.get("Profiled") in _LOST


def _source(at: Situation, cls: NodeClass, wanted: str) -> tuple[str, PlanSummary | None]:
    """The ConfigMap that a plan of the wanted revision is taken from, and what is in it."""
    if at.spec.plan_ref is not None:
        return at.spec.plan_ref.name, at.observed.reference
    name = names.plan_name(at.model, cls.name)
    seen = at.observed.get("ConfigMap", name)
    if seen is None or _annotation(seen.object, PLANNED_ANNOTATION) != wanted:
        return name, None
    return name, seen.plan


def _intact(seen: SeenObject | None) -> PlanSummary | None:
    """A frontier's plan, if it still is the one that was checked."""
    if seen is None or seen.plan is None or seen.plan.problem:
        return None
    return seen.plan if _annotation(seen.object, names.DIGEST_ANNOTATION) == seen.plan.digest else None


def _accounts(at: Situation, cls: NodeClass) -> tuple[Object, ...]:
    return (
        manifests.service_account(at.owner, cls),
        manifests.role(at.owner, cls),
        manifests.role_binding(at.owner, cls),
    )


def _attempts(at: Situation, cls: NodeClass, wanted: str) -> Attempts:
    seen = at.observed.get("ConfigMap", names.plan_name(at.model, cls.name))
    return Attempts.of(seen.object if seen is not None else None, wanted)


def _configmap(at: Situation, cls: NodeClass, attempts: Attempts) -> Object:
    made = manifests.plan_configmap(at.owner, cls, attempts.revision)
    made["metadata"].setdefault("annotations", {})[ATTEMPTS_ANNOTATION] = attempts.to_json()
    return made


def _job(at: Situation, cls: NodeClass, wanted: str, attempts: Attempts) -> Object:
    made = manifests.planner_job(at.owner, at.spec, cls, wanted, at.settings, at.server)
    made["metadata"].setdefault("annotations", {})[ATTEMPT_ANNOTATION] = str(attempts.count)
    return made


def _attempt(job: Object) -> int:
    text = _annotation(job, ATTEMPT_ANNOTATION)
    return int(text) if len(text) < 10 and text.isdecimal() else 1


def _pods_of(at: Situation, job: SeenObject) -> list[Object]:
    """The Job's own pods: those of the attempt before, of the same name, may still be there."""
    uid = job.object["metadata"]["uid"]
    return [
        seen.object
        for seen in at.observed.of_kind("Pod", "planner")
        if any(owner["uid"] == uid for owner in seen.object["metadata"].get("ownerReferences", ()))
    ]


def _progress(at: Situation, cls: NodeClass, wanted: str) -> tuple[int | None, str]:
    seen = at.observed.get("ConfigMap", names.plan_name(at.model, cls.name))
    said = untrusted_json.said(_annotation(seen.object, PROGRESS_ANNOTATION)) if seen is not None else {}
    percent, doing = untrusted_json.whole(said.get("percent"), 0, 100), untrusted_json.text(said.get("doing"), 300)
    if said.get("revision") != wanted or percent is None or doing is None:
        return None, ""
    return percent, doing


def _with_holders(at: Situation, cls: NodeClass, said: JobReport) -> JobReport:
    """Who holds the GPUs, where a planner waits for one."""
    resource = at.spec.devices.gpu_resource
    if said.reason is not Reason.UNSCHEDULABLE or not cls.gpu or resource not in said.message:
        return said
    who = f"; held by {', '.join(at.observed.holders)}" if at.observed.holders else ""
    return JobReport(said.phase, Reason.WAITING_FOR_GPU, f"no {resource} is free: {said.message}{who}", said.container)


def _annotation(thing: Object, name: str) -> str:
    return str((thing["metadata"].get("annotations") or {}).get(name, ""))


def _deletion(seen: SeenObject, kind: str) -> Delete:
    return Delete(kind, seen.object["metadata"]["name"], seen.object["metadata"]["uid"])
