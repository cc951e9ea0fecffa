"""A hub of models that answers as Hugging Face's does: commits, listings in pages, large files on another host."""

import hashlib
import re
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote

from aiohttp import web

from tests.support.file_server import FileServer

LARGE = 1000
"""From so many bytes on a file lies in the store."""
SIGNATURE = "signature-of-the-store"


@dataclass
class HubServer(FileServer):
    """One repository; its large files lie in `store`, which is on another address."""

    repository: str = "owner/net"
    store: FileServer = field(default_factory=lambda: FileServer(address="127.0.0.2"))
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """By commit, the files by their paths."""
    refs: dict[str, str] = field(default_factory=dict)
    """The commits of branches and tags."""
    readers: tuple[str, ...] = ()
    """Tokens of those who may read it; empty for everybody."""
    others: tuple[str, ...] = ()
    """Valid tokens of those who may not."""
    gated: bool = False
    """Whether those who may not read it know of it."""
    page: int = 1000
    """Entries on a page of a listing."""
    tells_commit: bool = True

    def __enter__(self) -> Self:
        super().__enter__()
        self._stack.enter_context(self.store)
        return self

    def push(self, files: dict[str, bytes], ref: str = "main") -> str:
        """A commit with these files and no others; how it is named."""
        lines = sorted(f"{path} {hashlib.sha256(content).hexdigest()}" for path, content in files.items())
        commit = hashlib.sha1("\n".join(lines).encode()).hexdigest()  # as git does
        self.commits[commit] = files
        self.refs[ref] = commit
        self.store.files |= {stored(content): content for content in files.values()}
        return commit

    def listings(self) -> list[str]:
        """The paths of all listings that were asked for."""
        return [path for _, path, _ in self.requests if path.startswith("/api/models/")]

    def contents(self) -> list[str]:
        """The paths of all files that were asked for."""
        return [path for _, path, _ in self.requests if "/resolve/" in path]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path, dict(request.headers)))
        if faults := self.faults.get(request.path):
            return await faults.pop(0)(request, b"")
        path = request.rel_url.raw_path
        if found := re.fullmatch(r"/api/resolve-cache/models/([^/]+/[^/]+)/([0-9a-f]{40})/(.+)", path):
            return web.Response(body=self.commits[found[2]][unquote(found[3])])
        content = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        listing = re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)(?:/(.+))?", path)
        found = content or listing
        if not found:
            return web.Response(status=404)
        if denial := self._denial(request, found[1], content is not None):
            return denial
        revision = unquote(found[2])
        commit = revision if revision in self.commits else self.refs.get(revision)
        if commit is None:
            return _error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        headers = {"X-Repo-Commit": commit} if self.tells_commit else {}
        if listing:
            return self._list(request, commit, unquote(listing[3] or ""))
        return self._content(commit, unquote(found[3]), headers)

    def _denial(self, request: web.Request, repository: str, content: bool) -> web.Response | None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in (*self.readers, *self.others):
            return _error(401, "", "Invalid credentials in Authorization header")
        readable = not self.readers or token in self.readers
        if repository == self.repository and (readable or (self.gated and not content)):
            return None
        if repository == self.repository and self.gated:
            return _error(403 if token else 401, "GatedRepo", f"Access to model {repository} is restricted.")
        return _error(404, "RepoNotFound", "Repository not found") if token else _error(401, "", "Invalid username")

    def _content(self, commit: str, path: str, headers: dict[str, str]) -> web.Response:
        content = self.commits[commit].get(path)
        if content is None:
            return _error(404, "EntryNotFound", "Entry not found", headers)
        if len(content) < LARGE:
            place = f"/api/resolve-cache/models/{self.repository}/{commit}/{path}"
            return web.Response(status=307, headers={**headers, "Location": place})
        linked = {"X-Linked-Size": str(len(content)), "X-Linked-ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
        place = self.store.url(f"{stored(content)}?X-Amz-Signature={SIGNATURE}")
        return web.Response(status=302, headers={**headers, **linked, "Location": place})

    def _list(self, request: web.Request, commit: str, folder: str) -> web.Response:
        inside = [path for path in self.commits[commit] if not folder or path.startswith(f"{folder}/")]
        if not inside:
            return _error(404, "EntryNotFound", f"{folder} does not exist")
        start, entries = int(request.query.get("cursor", "0")), self._entries(commit, sorted(inside), folder, request)
        headers = {}
        if start + self.page < len(entries):
            following = self.url(str(request.rel_url.update_query(cursor=start + self.page)))
            headers["Link"] = f'<{following}>; rel="next"'
        return web.json_response(entries[start : start + self.page], headers=headers)

    def _entries(self, commit: str, paths: list[str], folder: str, request: web.Request) -> list[dict[str, object]]:
        depth, entries, folders = (folder.count("/") + 1 if folder else 0), list[dict[str, object]](), set[str]()
        recursive = request.query.get("recursive", "").lower() == "true"
        for path in paths:
            *parents, _ = path.split("/")
            for count in range(depth + 1, len(parents) + 1 if recursive else min(len(parents), depth + 1) + 1):
                parent = "/".join(parents[:count])
                if parent not in folders:
                    folders.add(parent)
                    entries.append({"type": "directory", "oid": "0" * 40, "size": 0, "path": parent})
            if recursive or len(parents) == depth:
                entries.append(_entry(path, self.commits[commit][path]))
        return entries


def stored(content: bytes) -> str:
    """The path of a large file in the store."""
    return f"/lfs/{hashlib.sha256(content).hexdigest()}"


def _entry(path: str, content: bytes) -> dict[str, object]:
    digest = hashlib.sha256(content).hexdigest()
    entry: dict[str, object] = {"type": "file", "oid": digest[:40], "size": len(content), "path": path}
    if len(content) >= LARGE:
        entry |= {"lfs": {"oid": digest, "size": len(content), "pointerSize": 134}, "xetHash": digest}
    return entry


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    given = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **(headers or {})}
    return web.json_response({"error": message}, status=status, headers=given)
