"""As much of a Kubernetes API server as an operator meets: lists, watches and whatever is written; nothing is checked.

Objects are texts, so that they can be what no client would write.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from tests.support.on_thread import served

Object = dict[str, Any]


class ApiServer:
    """Objects by the plural of their kind and their place; each write has another resourceVersion."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.objects: dict[tuple[str, str, str], str] = {}
        """Texts, by plural, namespace and name."""
        self.writes: list[tuple[str, str]] = []
        self.reads: list[tuple[str, str]] = []
        """Methods and paths."""
        self.statuses: dict[tuple[str, str, str], Object] = {}
        """The status of what has one, by plural, namespace and name."""
        self._without_status: dict[tuple[str, str, str], str] = {}
        self._version = 1000
        self._watches: list[tuple[str, asyncio.Queue[bytes], asyncio.AbstractEventLoop]] = []

    def put(self, plural: str, namespace: str, name: str, text: str) -> None:
        """An object as it is now, told to those who watch."""
        event = "MODIFIED" if (plural, namespace, name) in self.objects else "ADDED"
        self.objects[plural, namespace, name] = text
        line = f'{{"type":"{event}","object":{text}}}\n'.encode()
        for watched, queue, loop in [*self._watches]:
            if watched == plural:
                loop.call_soon_threadsafe(queue.put_nowait, line)

    def get(self, plural: str, namespace: str, name: str) -> Object:
        """An object. Raises KeyError."""
        found: Object = json.loads(self.objects[plural, namespace, name])
        return found

    def of(self, plural: str, namespace: str) -> list[Object]:
        """All objects of a kind in a namespace."""
        return [json.loads(text) for place, text in [*self.objects.items()] if place[:2] == (plural, namespace)]

    def kubeconfig(self, path: Path) -> Path:
        """A kubeconfig that leads here."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "stand-in", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": "operator", "user": {"token": "t"}}],
            "contexts": [{"name": "stand-in", "context": {"cluster": "stand-in", "user": "operator"}}],
            "current-context": "stand-in",
        }
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        return path

    @contextmanager
    def running(self) -> Iterator["ApiServer"]:
        """Serve inside the block, on the same port each time."""
        app = web.Application(client_max_size=64 << 20)
        app.on_shutdown.append(self._end)
        app.router.add_route("*", "/{path:.*}", self._answer)
        with served(app, port=self.port) as self.port:
            yield self

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        parts = request.path.strip("/").split("/")
        rest = parts[2:] if parts[0] == "api" else parts[3:]
        if not rest:
            return web.json_response({"major": "1", "minor": "33"} if parts == ["version"] else {"resources": []})
        namespace, rest = (rest[1], rest[2:]) if rest[0] == "namespaces" and len(rest) > 2 else ("", rest)
        plural, name = rest[0], rest[1] if len(rest) > 1 else ""
        if request.method != "GET":
            self.writes.append((request.method, request.path))
            body = await request.json()
            if rest[-1] == "status":
                return self._status_written(body, (plural, namespace, name))
            return self._written(body, request.method, plural, namespace, name)
        self.reads.append((request.method, request.path))
        if name:
            found = self.objects.get((plural, namespace, name))
            return _status(404, "not found") if found is None else _json(found)
        if "watch" in request.query:
            return await self._watch(request, plural)
        items = [text for place, text in self.objects.items() if place[0] == plural and namespace in ("", place[1])]
        first, size = int(request.query.get("continue", 0)), int(request.query.get("limit", len(items)))
        more = f',"continue":"{first + size}"' if first + size < len(items) else ""
        page = ",".join(items[first : first + size])
        # As for custom resources: the items come before the metadata.
        return _json(f'{{"items":[{page}],"kind":"List","metadata":{{"resourceVersion":"{self._version}"{more}}}}}')

    def _written(self, body: Object, method: str, plural: str, namespace: str, name: str) -> web.Response:
        if method == "DELETE":
            self.objects.pop((plural, namespace, name), None)
            return _json("{}")
        place = (plural, namespace, name or body["metadata"]["name"])
        self._version += 1
        found: Object = json.loads(self.objects.get(place, '{"metadata":{}}'))
        found |= {key: value for key, value in body.items() if key != "metadata"}
        made = {"name": place[2], "namespace": namespace, "uid": "-".join(place), "generation": 1}
        made["creationTimestamp"] = "2026-01-01T00:00:00Z"
        found["metadata"] = {
            **made,
            **found["metadata"],
            **body.get("metadata", {}),
            "resourceVersion": f"{self._version}",
        }
        self.put(*place, json.dumps(found))
        return _json(json.dumps(found), 201 if method == "POST" else 200)

    def _status_written(self, body: Object, place: tuple[str, str, str]) -> web.Response:
        """As text beside text: the object may be deeper than what Python reads."""
        self._version += 1
        bare = self._without_status.setdefault(place, self.objects[place])
        self.statuses[place] = {name: value for name, value in body["status"].items() if value is not None}
        bare = re.sub('"resourceVersion": ?"[0-9]+"', f'"resourceVersion":"{self._version}"', bare, count=1)
        text = f'{bare[:-1]},"status":{json.dumps(self.statuses[place])}}}'
        self.put(*place, text)
        return _json(text)

    async def _watch(self, request: web.Request, plural: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        mine = (plural, asyncio.Queue[bytes](), asyncio.get_running_loop())
        self._watches.append(mine)
        try:
            while line := await mine[1].get():
                await response.write(line)
        except ConnectionResetError:
            pass  # whoever watched is gone
        finally:
            self._watches.remove(mine)
        return response

    async def _end(self, _: web.Application) -> None:
        for _, queue, _ in self._watches:
            queue.put_nowait(b"")


def _json(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, content_type="application/json", status=status)


def _status(code: int, message: str) -> web.Response:
    return _json(json.dumps({"kind": "Status", "status": "Failure", "message": message, "code": code}), code)
