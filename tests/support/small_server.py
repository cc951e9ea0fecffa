"""As much of an API server as a controller meets: objects by their paths; create, apply, patch and delete one."""

import copy
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from aiohttp import web
from kubernetes.client import ApiClient, Configuration

from chrion_operator.cluster.api import Api
from chrion_operator.cluster.kinds import kind_of
from tests.support.fake_api import merge
from tests.support.on_thread import served

Object = dict[str, Any]


class SmallServer:
    """Objects by their URL paths; each change gives a new resourceVersion."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.requests: list[tuple[str, str]] = []
        """Method and path with query of all that came, as they came."""
        self.before_write: list[Callable[[], object]] = []
        """Called, one for each POST or PATCH that comes, before it is looked at."""
        self._versions = count(1)

    def add(self, manifest: Object) -> Object:
        """An object as somebody else would create it."""
        made = copy.deepcopy(manifest)
        metadata = made["metadata"]
        version = str(next(self._versions))
        metadata |= {"uid": metadata.get("uid", f"uid-{version}"), "resourceVersion": version}
        self.objects[path_of(made)] = made
        return made

    def of_kind(self, kind: str) -> list[Object]:
        return [thing for thing in self.objects.values() if thing["kind"] == kind]

    @contextmanager
    def running(self) -> Iterator[Api]:
        """Serve inside the block; a client of it."""
        app = web.Application(client_max_size=4 << 20)
        app.router.add_route("*", "/{path:.*}", self._answer)
        with served(app) as port:
            configuration = Configuration()
            configuration.host = f"http://127.0.0.1:{port}"
            yield Api(ApiClient(configuration))

    async def _answer(self, request: web.Request) -> web.Response:
        self.requests.append((request.method, request.raw_path))
        path = request.path.removesuffix("/status")
        body = json.loads(await request.read() or b"{}")
        if request.method in ("POST", "PATCH") and self.before_write:
            self.before_write.pop(0)()
        there = self.objects.get(path)
        if request.method == "POST":
            path = f"{path}/{body['metadata']['name']}"
            return _status(409, "already exists") if path in self.objects else web.json_response(self.add(body))
        if request.method == "PATCH" and there is None and "apply" in request.content_type:
            return web.json_response(self.add(body))
        if there is None:
            return _status(404, f"{path} not found")
        uid = body.get("preconditions" if request.method == "DELETE" else "metadata", {}).get("uid")
        if uid not in (None, there["metadata"]["uid"]):
            return _status(409, "the uid is another")
        if request.method == "DELETE":
            del self.objects[path]
        elif request.method == "PATCH":
            version = body["metadata"].get("resourceVersion")
            if version not in (None, there["metadata"]["resourceVersion"]):
                return _status(409, "the object has been modified")
            merge(there, body)
            there["metadata"]["resourceVersion"] = str(next(self._versions))
        return web.json_response(there)


def path_of(manifest: Object) -> str:
    """Where an object is."""
    return kind_of(manifest).path(manifest["metadata"]["namespace"], manifest["metadata"]["name"])


def _status(code: int, message: str) -> web.Response:
    return web.json_response({"kind": "Status", "code": code, "message": message}, status=code)
