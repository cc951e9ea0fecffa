"""Models on Hugging Face's hub: all files of one commit, and a listing that tells in advance which there are."""

import posixpath
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager

import aiohttp
from yarl import URL

from chrion_api import redact
from chrion_api.units import shown
from chrion_runtime.fetch.client import WebAnswer, WebClient, part
from chrion_runtime.fetch.credentials import hub_authorization
from chrion_runtime.fetch.errors import FetchRefused, ModelNotFound
from chrion_runtime.fetch.guard import Guard, url_of
from chrion_runtime.fetch.hub_answer import commit_of, listed_files, next_page, refusal, told_commit
from chrion_runtime.fetch.hub_file import HubFile
from chrion_runtime.fetch.source import Stream

_ENDPOINT = "https://huggingface.co"
_MOST_PAGES = 100  # of 1,000 entries
_MOST_BYTES = 16 << 20
"""Of a page; an entry takes some hundreds."""


class Hub:
    """A hub, and the commit that it first answered for: a push meanwhile must not mix two."""

    def __init__(self, client: WebClient, endpoint: str, has_token: bool, revision: str) -> None:
        """`client` has the token for the endpoint's origin."""
        self.endpoint = endpoint
        self.commit = commit_of(revision)
        """Empty before the first answer of a branch or a tag."""
        self._client = client
        self._origin = url_of(endpoint).origin()
        self._has_token = has_token

    @asynccontextmanager
    async def get(self, url: URL, headers: Mapping[str, str], file: HubFile) -> AsyncIterator[WebAnswer]:
        """Ask for something of a file. Raises FetchError, for whatever the hub refuses too."""
        async with self._client.get(url, headers, str(file)) as answer:
            self._check(answer, file)
            self.commit = self.commit or told_commit(answer)
            yield answer

    def _check(self, answer: WebAnswer, file: HubFile) -> None:
        status, code = answer.response.status, answer.response.headers.get("X-Error-Code", "")
        own = code or answer.response.url.origin() == self._origin  # a store that it leads to has other reasons
        if own and (error := refusal(file, status, code, self.endpoint, self._has_token)):
            raise error
        answer.check()

    async def sizes(self, file: HubFile, paths: Collection[str]) -> dict[str, int]:
        """Bytes of those of these paths that are there; all are in the file's folder or deeper. Raises FetchError."""
        found: dict[str, int] = {}
        deeper = any(posixpath.dirname(path) != file.folder for path in paths)
        url = url_of(file.listing(self.endpoint, self.commit, deeper))
        for _ in range(_MOST_PAGES):
            async with self.get(url, {}, file) as answer:
                page, following = await _body(answer), next_page(answer.response.headers)
                found |= {path: size for path, size in listed_files(page, str(file)) if path in paths}
                if not following or len(found) == len(paths):
                    return found
                url = self._client.led(answer.response.url, following, str(file))
        raise FetchRefused(f"{file}: is in a folder of too many files; put the model's into one of their own")


class HubSource:
    """A file in a repository."""

    def __init__(self, hub: Hub, file: HubFile) -> None:
        """Nothing is asked for yet."""
        self._hub = hub
        self._file = file

    def sibling(self, name: str) -> "HubSource":
        """The file of this name in the same folder, of the same commit."""
        return HubSource(self._hub, self._file.sibling(name))

    async def announced(self, names: Sequence[str]) -> int:
        """As `Source.announced`, by the hub's listing of the commit that this file was read at."""
        if not self._hub.commit:
            raise FetchRefused(
                f"{self}: the hub does not tell its commit, so that its files might be of several; give one after @"
            )
        paths = {self._file.sibling(name).path: name for name in names}
        sizes = await self._hub.sizes(self._file, paths)
        missing = [shown(name) for path, name in paths.items() if path not in sizes]
        if missing:
            more = f" and {len(missing) - 3:,} more" if len(missing) > 3 else ""
            raise ModelNotFound(
                f"{self}: keeps data in {', '.join(missing[:3])}{more}, not to be found beside it at commit "
                f"{self._hub.commit}; add it to the repository"
            )
        return sum(sizes.values())

    @asynccontextmanager
    async def open(self, start: int, tag: str) -> AsyncIterator[Stream]:
        """As `Source.open`."""
        url = url_of(self._file.content(self._hub.endpoint, self._hub.commit))
        async with self._hub.get(url, part(start, tag), self._file) as answer:
            yield answer.stream(start)

    def __str__(self) -> str:
        return str(self._file)


def open_hub(uri: str, session: aiohttp.ClientSession, guard: Guard, environment: Mapping[str, str]) -> HubSource:
    """The file that an hf:// URI names, on the hub of `HF_ENDPOINT` or else Hugging Face's. Raises FetchRefused."""
    file = HubFile.of(uri)
    endpoint = environment.get("HF_ENDPOINT", "").strip().rstrip("/") or _ENDPOINT
    try:
        home = url_of(endpoint)
        guard.check(home)
        if home.raw_query_string or home.raw_fragment:
            raise FetchRefused(f"{redact.shown(endpoint)}: has more than a host and a path")
    except FetchRefused as error:
        raise FetchRefused(f"HF_ENDPOINT: {error}") from None
    credentials = hub_authorization(environment)
    client = WebClient(session, guard, home, credentials)
    return HubSource(Hub(client, endpoint, bool(credentials), file.revision), file)


async def _body(answer: WebAnswer) -> bytes:
    body = bytearray()
    async for chunk in answer.chunks:
        body += chunk
        if len(body) > _MOST_BYTES:
            raise FetchRefused(f"{answer.who}: the hub's list of its folder takes more than {_MOST_BYTES:,} bytes")
    return bytes(body)
