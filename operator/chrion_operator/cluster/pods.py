"""Asks runtime pods for the plan that they use."""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import aiohttp

from chrion_api import Latency
from chrion_operator.names import Object, model_name
from chrion_operator.reconcile.observed import Answer, Key

log = logging.getLogger(__name__)

PORT = 8000
ANSWER_SECONDS = 3.0
AT_ONCE = 32
LATENCY_SECONDS = 60.0
"""How often at most a latency that changed is news by itself."""


@dataclass(frozen=True)
class Target:
    """A ready pod."""

    key: Key
    pod: str
    ip: str
    model: str


class Pods:
    """Asks the pods of all models in turns, and remembers what they said. Lives in the event loop."""

    def __init__(
        self,
        seconds: float,
        targets: Callable[[], Iterator[Target]],
        leads: Callable[[], bool],
        changed: Callable[[Key], None],
    ) -> None:
        self._seconds, self._targets, self._leads, self._changed = seconds, targets, leads, changed
        self._answers: dict[Key, dict[str, Answer]] = {}
        self._since: dict[tuple[Key, str], float] = {}

    def answers(self, key: Key) -> Mapping[str, Answer]:
        """What the pods of a model said last; from any thread."""
        return dict(self._answers.get(key, {}))

    async def ask_forever(self) -> None:
        """Ask every pod, time and again, while this process leads."""
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        turn = asyncio.Semaphore(AT_ONCE)
        async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
            while True:
                if self._leads():
                    targets = [*self._targets()]
                    self._forget_all_but(targets)
                    await asyncio.gather(*(self._ask(session, turn, target) for target in targets))
                await asyncio.sleep(self._seconds)

    async def _ask(self, session: aiohttp.ClientSession, turn: asyncio.Semaphore, target: Target) -> None:
        host = f"[{target.ip}]" if ":" in target.ip else target.ip
        url = f"http://{host}:{PORT}/v2/models/{quote(target.model)}/plan"
        try:
            async with turn, session.get(url) as response:
                said = await response.json() if response.status == 200 else None
            answer = answer_of(said) if said is not None else None
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError, TypeError) as error:
            log.debug("pod %s gave no answer: %s", target.pod, error)
            return
        if answer is not None:
            self._take(target, answer)

    def _take(self, target: Target, answer: Answer) -> None:
        mine = self._answers.setdefault(target.key, {})
        before, place, now = mine.get(target.pod), (target.key, target.pod), time.monotonic()
        if before == answer:
            return
        only_latency = before is not None and replace(before, latency_seconds=answer.latency_seconds) == answer
        if only_latency and now - self._since[place] < LATENCY_SECONDS:
            return
        mine[target.pod] = answer
        self._since[place] = now
        self._changed(target.key)

    def _forget_all_but(self, targets: list[Target]) -> None:
        there = {(target.key, target.pod) for target in targets}
        for key, pod in [place for place in self._since if place not in there]:
            del self._since[key, pod]
            mine = self._answers.get(key, {})
            mine.pop(pod, None)
            if not mine:
                self._answers.pop(key, None)


def answer_of(said: Any) -> Answer:
    """The answer in what `/v2/models/{model}/plan` says. Raises KeyError, TypeError or ValueError for what is none."""
    buckets = said["buckets"]
    plans = [bucket["plan"] for bucket in buckets]
    percentile = float(said["slo"].get("percentile", 99))
    observed = said.get("observed") or {}
    measured = [Latency.parse(plan["measured"]).at(percentile) for plan in plans if plan.get("measured")]
    return Answer(
        plan=", ".join(dict.fromkeys(str(plan["name"]) for plan in plans)),
        meets_slo=all(bool(bucket["meetsSLO"]) for bucket in buckets),
        slo_met=observed.get("sloMet"),
        latency_seconds=two_digits(observed.get("seconds")),
        stale=str((said.get("stale") or {}).get("message", "")),
        predicted_seconds=max((float(plan["predictedSeconds"]) for plan in plans), default=None),
        measured_seconds=max(measured, default=None),
        gpu_bytes=max((sum((plan.get("gpuBytes") or {}).values()) for plan in plans), default=None),
        devices=tuple(sorted({_device(stage) for plan in plans for stage in plan.get("stages", ())})),
    )


def _device(stage: Any) -> str:
    return str(stage["lanes"][0]).rpartition("/")[0]


def two_digits(seconds: float | None) -> float | None:
    """Rounded to two significant digits, so that noise is no news."""
    if not seconds:
        return seconds
    return round(seconds, 1 - math.floor(math.log10(abs(seconds))))


def target_of(key: Key, model: Object, pod: Object) -> Target | None:
    """A pod that can be asked; None before it has an address."""
    ip = pod.get("status", {}).get("podIP")
    return Target(key, pod["metadata"]["name"], ip, model_name(model)) if ip else None
