"""The client of the API server: no answer holds whoever waits for it for ever."""

import asyncio

import pytest
from aiohttp import web
from kubernetes.client import ApiClient, Configuration

from chrion_operator.cluster import api as module
from chrion_operator.cluster.api import Api
from chrion_operator.cluster.errors import ApiUnavailable
from chrion_operator.cluster.kinds import CONFIG_MAP
from tests.support.on_thread import served


def test_an_answer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.2)

    async def bookmarks(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b'{"type":"BOOKMARK","object":{}}\n')
            await asyncio.sleep(0.05)

    app = web.Application()
    app.router.add_get("/{path:.*}", bookmarks)
    with served(app) as port:
        configuration = Configuration()
        configuration.host = f"http://127.0.0.1:{port}"
        with pytest.raises(ApiUnavailable, match=r"more than 0\.2 s"):
            Api(ApiClient(configuration)).get(CONFIG_MAP, "mine", "x")
