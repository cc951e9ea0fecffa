"""What the short way needs of aiohttp and its documentation does not promise: all of it listed, and all of it there."""

import ast
import asyncio
import inspect
import logging

import pytest
from aiohttp import web

from chrion_runtime.serve import lifecycle
from chrion_runtime.serve.http import connection
from chrion_runtime.serve.http.connection import INSIDE, Connection, missing

BODY = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [3, 4]}]}


async def _answer(_):
    return web.Response()


@pytest.fixture
def handler():
    """A handler of aiohttp's, as it is for each connection."""

    async def make():
        return web.RequestHandler(web.Server(_answer), loop=asyncio.get_running_loop())

    return asyncio.run(make())


@pytest.mark.parametrize("name", INSIDE)
def test_this_aiohttp_has(handler, name):
    assert hasattr(handler, name), f"aiohttp's RequestHandler has no {name}: {INSIDE[name]}"


def test_nothing_else_is_used():
    tree = ast.parse(inspect.getsource(Connection))
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__")
    }
    ours = {*Connection.__slots__, *vars(Connection)} - {"_process_keepalive"}  # which is aiohttp's too
    assert used - ours == set(INSIDE)


def test_what_went_is_named(handler, monkeypatch):
    monkeypatch.setitem(connection.INSIDE, "_gone", "nothing")
    assert missing(handler) == ["_gone"]


def test_without_it_aiohttp_answers(serving, add, http, monkeypatch, caplog):
    monkeypatch.setitem(connection.INSIDE, "_gone", "nothing")
    monkeypatch.setattr(lifecycle, "Connection", None)
    with caplog.at_level(logging.WARNING), serving(add) as running:
        answer = http("POST", f"{running.where.url}/v2/models/add/infer", json=BODY)
        assert answer.json["outputs"][1]["data"] == [7]
    said = [record.getMessage() for record in caplog.records if "aiohttp" in record.getMessage()]
    assert said == ["this version of aiohttp lacks _gone: requests take longer than they need to"]


def test_the_second_port_answers_no_inference(serving, add, http):
    with serving(add) as running:
        url = running.where.metrics_url.replace("/metrics", "/v2/models/add/infer")
        assert http("POST", url, json=BODY).status == 404
