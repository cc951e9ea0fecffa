"""Asking pods: whatever one of them answers, or does not, the others are asked all the same."""

import asyncio
import gzip
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from chrion_operator.cluster import pods
from chrion_operator.cluster.pods import Pods, Target
from chrion_operator.reconcile import Key
from tests.support.hostile.answers import SAID, TEXTS

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

GOOD = Target(Key("good", "g"), "good-pod", "127.0.0.1", "g")
ZEROS = gzip.compress(bytes(64 << 20), 9)
"""64 MiB in 64 kB."""


class Asked:
    """A server for all pods, told apart by the model in the path; how often each was asked, and how many at once."""

    def __init__(self, answer: Handler) -> None:
        self.times: Counter[str] = Counter()
        self.astray: list[str] = []
        self.at_once = self.most_at_once = 0
        self._answer = answer

    async def lead_astray(self, request: web.Request) -> web.Response:
        self.astray.append(request.path)
        return web.json_response(SAID)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        model = request.match_info["model"]
        self.times[model] += 1
        if model == "g":
            return web.json_response(SAID)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self._answer(request)
        finally:
            self.at_once -= 1


async def ask(
    monkeypatch: pytest.MonkeyPatch, asked: Asked, targets: list[Target], enough: Callable[[], bool]
) -> dict[Target, bool]:
    """Ask until it is enough; which of the targets have given an answer."""
    app = web.Application()
    app.router.add_get("/v2/models/{model}/plan", asked.handle)
    app.router.add_get("/{elsewhere:.*}", asked.lead_astray)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setattr(pods, "PORT", runner.addresses[0][1])
    asker = Pods(0.02, lambda: iter([*targets, GOOD]), lambda: True, lambda key: None)
    task = asyncio.create_task(asker.ask_forever())
    try:
        async with asyncio.timeout(60):
            while not enough():
                assert not task.done(), task.exception()
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await runner.cleanup()
    assert not asked.astray
    return {target: target.pod in asker.answers(target.key) for target in [*targets, GOOD]}


def evil(model: str) -> Target:
    return Target(Key("evil", model), f"{model}-pod", "127.0.0.1", model)


def test_no_answer_of_a_pod_ends_the_asking_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = dict(enumerate(TEXTS.values()))

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=texts[int(request.match_info["model"])], content_type="application/json")

    asked = Asked(answer)
    targets = [evil(str(number)) for number in texts]
    enough = lambda: len(asked.times) == len(texts) + 1 and asked.times["g"] > 2  # noqa: E731
    answered = asyncio.run(ask(monkeypatch, asked, targets, enough))
    assert [target.model for target, there in answered.items() if there] == ["g"]


async def _redirect(_: web.Request) -> web.Response:
    raise web.HTTPFound("/latest/meta-data")


async def _bomb(_: web.Request) -> web.Response:
    return web.Response(body=ZEROS, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * (1 << 16))


async def _strange_charset(_: web.Request) -> web.Response:
    return web.Response(body=b"{}", headers={"Content-Type": "application/json; charset=rot13"})


async def _many_headers(_: web.Request) -> web.Response:
    return web.json_response(SAID, headers={f"x-{number}": "x" * 1000 for number in range(1000)})


async def _cut_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "100"})
    await response.prepare(request)
    await response.write(b"{")
    assert request.transport is not None
    request.transport.abort()
    return response


@pytest.mark.parametrize("answer", [_redirect, _bomb, _endless, _strange_charset, _many_headers, _cut_off])
def test_no_way_of_answering_does(monkeypatch: pytest.MonkeyPatch, answer: Handler) -> None:
    asked = Asked(answer)
    answered = asyncio.run(ask(monkeypatch, asked, [evil("e")], lambda: asked.times["e"] > 1 and asked.times["g"] > 3))
    assert answered == {evil("e"): False, GOOD: True}


def test_slow_pods_of_one_namespace_delay_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pods, "ANSWER_SECONDS", 3600)

    async def never(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    asked = Asked(never)
    targets = [evil(f"e{number}") for number in range(100)]
    assert asyncio.run(ask(monkeypatch, asked, targets, lambda: asked.times["g"] > 10))[GOOD]
    assert asked.most_at_once <= pods.AT_ONCE_IN_NAMESPACE


def test_targets_that_cannot_be_told_are_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pods, "PORT", 9)
    tried: list[int] = []

    def targets() -> list[Target]:
        tried.append(len(tried))
        raise KeyError("metadata")

    async def main() -> None:
        task = asyncio.create_task(Pods(0.01, lambda: iter(targets()), lambda: True, lambda key: None).ask_forever())
        async with asyncio.timeout(60):
            while len(tried) < 3:
                await asyncio.sleep(0.01)
        assert not task.done()
        task.cancel()

    asyncio.run(main())
