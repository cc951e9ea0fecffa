"""Files over https, and http where it is allowed: redirects are followed here, one by one, each checked."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus

import aiohttp
from yarl import URL

from chrion_api.redact import shown
from chrion_runtime.fetch.errors import AccessDenied, FetchError, FetchRefused, ModelNotFound, Unreachable
from chrion_runtime.fetch.guard import Guard, url_of
from chrion_runtime.fetch.source import Stream

MOST_REDIRECTS = 10
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=60)
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_MAY_PASS = frozenset((408, 425, 429))
_CHUNK = 1 << 20


class WebSource:
    """A file behind a URL."""

    def __init__(self, session: aiohttp.ClientSession, guard: Guard, url: URL, credentials: str = "") -> None:
        """`credentials`: the Authorization of requests to the URL's own origin, and to no other."""
        self._session = session
        self._guard = guard
        self._url = url
        self._credentials = credentials

    def sibling(self, name: str) -> "WebSource":
        """The file of this name in the same folder, with the same query, which may hold a signature for all of it."""
        url = self._url.parent.joinpath(*name.split("/")).with_query(self._url.query)
        return WebSource(self._session, self._guard, url, self._credentials)

    @asynccontextmanager
    async def open(self, start: int, tag: str) -> AsyncIterator[Stream]:
        """As `Source.open`."""
        headers = {"Accept-Encoding": "identity"}
        if start and tag:
            headers |= {"Range": f"bytes={start}-", "If-Range": tag}
        async with await self._ask(headers) as response:
            begin, size = _extent(response)
            if begin not in (0, start):
                raise Unreachable(f"{self}: sends another part of the file than was asked for")
            yield Stream(begin, size, _tag(response.headers), self._chunks(response))

    async def _ask(self, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        try:
            response = await self._follow(headers)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise self._failure(error) from None
        try:
            self._check(response)
        except FetchError:
            response.close()
            raise
        return response

    async def _follow(self, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        url = self._url
        for _ in range(MOST_REDIRECTS + 1):
            self._guard.check(url)
            self._guard.refusal = None
            own = self._credentials and url.origin() == self._url.origin()
            sent = {**headers, "Authorization": self._credentials} if own else headers
            response = await self._session.get(url, headers=sent, allow_redirects=False)
            if response.status not in _REDIRECTS:
                return response
            response.close()
            location = response.headers.get("Location")
            if not location:
                raise Unreachable(f"{self}: {shown(str(url))} redirects without saying where to")
            url = url.join(url_of(location))
        raise FetchRefused(f"{self}: redirects more than {MOST_REDIRECTS} times")

    async def _chunks(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        try:
            async for chunk in response.content.iter_chunked(_CHUNK):
                yield chunk
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._failure(error) from None

    def _check(self, response: aiohttp.ClientResponse) -> None:
        status = response.status
        if status in (200, 206):
            return
        said = f"{self}: {_host(response.url, self._url)}answers {status} {_phrase(status)}".rstrip()
        if status in (401, 403):
            raise AccessDenied(f"{said}; check the URI, and the credentials in the Secret of spec.model.secretRef")
        if status == 416:
            raise Unreachable(f"{said}: the file has changed while it was read")
        if status in _MAY_PASS or status >= 500:
            raise Unreachable(said, _seconds(response.headers.get("Retry-After", "")))
        raise ModelNotFound(f"{said}; check the URI")

    def _failure(self, error: Exception) -> FetchError:
        if self._guard.refusal is not None:
            return FetchRefused(f"{self}: {self._guard.refusal}")
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            problem = self._guard.quoted(error.certificate_error)
            return FetchRefused(f"{self}: the certificate of {error.host} cannot be verified: {problem}")
        if isinstance(error, aiohttp.InvalidURL):
            return FetchRefused(f"{self}: leads to what is no URL that can be fetched")
        return Unreachable(f"{self}: {self._guard.quoted(error)}")

    def __str__(self) -> str:
        return shown(str(self._url))


def _extent(response: aiohttp.ClientResponse) -> tuple[int, int | None]:
    """Where the body begins in the file, and how long the file is."""
    if response.status == 200:
        return 0, response.content_length
    match = re.fullmatch(r"bytes ([0-9]+)-[0-9]+/([0-9]+|\*)", response.headers.get("Content-Range", ""))
    if match is None:
        raise Unreachable(f"{shown(str(response.url))}: answers 206 without saying which part of the file it sends")
    return int(match[1]), None if match[2] == "*" else int(match[2])


def _phrase(status: int) -> str:
    """What a status means; the server's own words for it could hold anything, what it was sent too."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _tag(headers: Mapping[str, str]) -> str:
    """A strong ETag, or else when the file last changed: what If-Range takes."""
    tag = headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")


def _seconds(text: str) -> float:
    """A Retry-After in seconds; 0 where it is a date or not there."""
    return float(text) if text.isdecimal() else 0.0


def _host(url: URL, first: URL) -> str:
    return "" if url.host == first.host else f"{url.host} "
