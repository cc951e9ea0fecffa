"""As much of a Kubernetes API server as a planner meets: one kind, get and merge patch, conflicts, and faults."""

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from tests.support.on_thread import served

Object = dict[str, Any]


class FakeApi:
    """ConfigMaps by namespace and name; each change gives a new resourceVersion."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Object] = {}
        self.patches: list[Object] = []
        self.faults: list[int] = []
        """Statuses that the next requests are answered with; 0 for a connection that is lost."""
        self.before_patch: list[Any] = []
        """Called, one for each patch of data that comes, with the object, before the patch is looked at."""
        self.port = 0

    def add(self, namespace: str, name: str, **annotations: str) -> None:
        """A ConfigMap without data; underscores in annotations stand for what comes before the name."""
        metadata = {"namespace": namespace, "name": name, "resourceVersion": "1"}
        found = {f"chrion.dev/{key}": value for key, value in annotations.items()}
        self.objects[namespace, name] = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {**metadata, "annotations": found},
        }

    def annotations(self, namespace: str, name: str) -> dict[str, str]:
        """What is written at a ConfigMap."""
        return dict(self.objects[namespace, name]["metadata"]["annotations"])

    def kubeconfig(self, path: Path) -> Path:
        """A kubeconfig that leads here."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "fake", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": "planner", "user": {"token": "planner-token"}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "planner"}}],
            "current-context": "fake",
        }
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        return path

    @contextmanager
    def running(self) -> Iterator["FakeApi"]:
        """Serve inside the block, on the same port each time."""
        app = web.Application(client_max_size=4 << 20)
        app.router.add_get("/api/v1/namespaces/{namespace}/configmaps/{name}", self._answer)
        app.router.add_patch("/api/v1/namespaces/{namespace}/configmaps/{name}", self._answer)
        with served(app, port=self.port) as self.port:
            yield self

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self.faults:
            code = self.faults.pop(0)
            if code:
                return _status(code, "a fault")
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if request.headers.get("Authorization") != "Bearer planner-token":
            return _status(401, "Unauthorized")
        found = self.objects.get((request.match_info["namespace"], request.match_info["name"]))
        if found is None:
            return _status(404, f'configmaps "{request.match_info["name"]}" not found')
        if request.method == "PATCH":
            if request.content_type != "application/merge-patch+json":
                return _status(415, request.content_type)
            patch = await request.json()
            if patch.keys() & {"data", "binaryData"} and self.before_patch:
                self.before_patch.pop(0)(found)
            version = patch["metadata"].get("resourceVersion")
            if version not in (None, found["metadata"]["resourceVersion"]):
                return _status(409, "the object has been modified")
            self.patches.append(copy.deepcopy(patch))
            merge(found, patch)
            touch(found)
        return web.json_response(found)


def touch(found: Object) -> None:
    """Give a changed object another resourceVersion."""
    found["metadata"]["resourceVersion"] = str(int(found["metadata"]["resourceVersion"]) + 1)


def merge(found: Object, patch: Object) -> None:
    """RFC 7396, in place."""
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        elif isinstance(value, dict):
            merge(found.setdefault(key, {}), value)
        else:
            found[key] = value


def _status(code: int, message: str) -> web.Response:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
    return web.Response(status=code, text=json.dumps(body), content_type="application/json")
