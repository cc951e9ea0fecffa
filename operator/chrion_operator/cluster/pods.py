"""Asks runtime pods for the plan that they use; no pod, whatever it answers, ends or delays the asking of others'."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from urllib.parse import quote

import aiohttp

from chrion_operator.cluster.answer import answer_of
from chrion_operator.cluster.metrics import FAULTS, POD_ANSWERS
from chrion_operator.names import Object, model_name
from chrion_operator.reconcile.observed import Key, PodAnswer

log = logging.getLogger(__name__)

PORT = 8000
ANSWER_SECONDS = 3.0
"""From the connection to the last byte."""
ANSWER_BYTES = 512 << 10
"""The longest answer that is read, some 2,000 stages; reading it takes 70 times as much memory."""
AT_ONCE, AT_ONCE_IN_NAMESPACE = 32, 4
"""Pods that are asked at a time, of all namespaces and of one."""
LATENCY_SECONDS = 60.0
"""How often at most a latency that changed is news by itself."""


@dataclass(frozen=True)
class Target:
    """A ready pod."""

    key: Key
    pod: str
    ip: str
    model: str


class NoAnswer(Exception):
    """A pod answered something else than its plan."""


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
        self._answers: dict[Key, dict[str, PodAnswer]] = {}
        self._since: dict[tuple[Key, str], float] = {}

    def answers(self, key: Key) -> Mapping[str, PodAnswer]:
        """What the pods of a model said last; from any thread."""
        return dict(self._answers.get(key, {}))

    async def ask_forever(self) -> None:
        """Ask every pod, time and again, while this process leads."""
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        turn = asyncio.Semaphore(AT_ONCE)
        rounds: dict[str, asyncio.Task[None]] = {}
        # Not decompressed: a few bytes may stand for gigabytes. Cookies would be one pod's word in another's ear.
        async with aiohttp.ClientSession(
            timeout=timeout, trust_env=False, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            try:
                while True:
                    try:
                        if self._leads():
                            self._begin(session, turn, rounds)
                    except Exception:
                        log.exception("cannot poll the pods; trying again")
                        FAULTS.labels(where="pods").inc()
                    await asyncio.sleep(self._seconds)
            finally:
                for task in rounds.values():
                    task.cancel()
                await asyncio.gather(*rounds.values(), return_exceptions=True)

    def _begin(
        self, session: aiohttp.ClientSession, turn: asyncio.Semaphore, rounds: dict[str, asyncio.Task[None]]
    ) -> None:
        """Begin a round in each namespace that is through with the one before."""
        targets = sorted(self._targets(), key=lambda target: target.key)
        self._forget_all_but(targets)
        for namespace in [namespace for namespace, task in rounds.items() if task.done()]:
            del rounds[namespace]
        for namespace, mine in groupby(targets, key=lambda target: target.key.namespace):
            if namespace not in rounds:
                rounds[namespace] = asyncio.create_task(self._ask_all(session, turn, [*mine]))

    async def _ask_all(
        self, session: aiohttp.ClientSession, turn: asyncio.Semaphore, targets: Sequence[Target]
    ) -> None:
        """Ask all pods of one namespace, a few at a time."""
        mine = asyncio.Semaphore(AT_ONCE_IN_NAMESPACE)

        async def ask(target: Target) -> None:
            async with mine, turn:
                await self._ask(session, target)

        await asyncio.gather(*map(ask, targets))

    async def _ask(self, session: aiohttp.ClientSession, target: Target) -> None:
        try:
            self._take(target, answer_of(await _said(session, target)))
            POD_ANSWERS.labels(result="ok").inc()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            log.debug("pod %s/%s did not answer: %s", target.key.namespace, target.pod, error)
            POD_ANSWERS.labels(result="none").inc()
        except Exception as error:  # noqa: BLE001, what a tenant's pod can bring about is not to be foreseen
            log.debug("pod %s/%s: %s: %s", target.key.namespace, target.pod, type(error).__name__, error)
            POD_ANSWERS.labels(result="refused").inc()

    def _take(self, target: Target, answer: PodAnswer) -> None:
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

    def _forget_all_but(self, targets: Sequence[Target]) -> None:
        there = {(target.key, target.pod) for target in targets}
        for key, pod in [place for place in self._since if place not in there]:
            del self._since[key, pod]
            mine = self._answers.get(key, {})
            mine.pop(pod, None)
            if not mine:
                self._answers.pop(key, None)


async def _said(session: aiohttp.ClientSession, target: Target) -> bytes:
    """The body of a pod's answer. Raises NoAnswer for one that is not to be read, and what aiohttp raises."""
    host = f"[{target.ip}]" if ":" in target.ip else target.ip
    url = f"http://{host}:{PORT}/v2/models/{quote(target.model, safe='')}/plan"
    # A redirect would lead wherever the pod likes, with the operator's access to the network.
    async with session.get(url, allow_redirects=False, headers={"Accept-Encoding": "identity"}) as response:
        if response.status != 200:
            raise NoAnswer(f"status {response.status}")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise NoAnswer("the answer is compressed")
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > ANSWER_BYTES:
                raise NoAnswer(f"more than {ANSWER_BYTES:,} bytes")
        return bytes(body)


def target_of(key: Key, model: Object, pod: Object) -> Target | None:
    """A pod that can be asked; None before it has an address."""
    ip = pod.get("status", {}).get("podIP")
    return Target(key, pod["metadata"]["name"], ip, model_name(model)) if ip else None
