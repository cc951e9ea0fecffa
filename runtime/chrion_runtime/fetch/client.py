"""GETs over guarded connections: redirects are followed here, one by one, each checked."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp
from yarl import URL

from chrion_api.redact import shown
from chrion_runtime.fetch.errors import AccessDenied, FetchError, FetchRefused, ModelNotFound, Unreachable
from chrion_runtime.fetch.guard import Guard, url_of
from chrion_runtime.fetch.source import Stream

MOST_REDIRECTS = 10
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=60)
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_MAY_PASS = frozenset((408, 425, 429))
_CHUNK = 1 << 20


@dataclass(frozen=True)
class WebAnswer:
    """What a request led to, after all redirects."""

    who: str
    """What errors begin with."""
    asked: URL
    """Where the request went first."""
    hops: tuple[Mapping[str, str], ...]
    """The headers of each answer on the way, and of the last."""
    response: aiohttp.ClientResponse
    """The last answer; its body is in `chunks`."""
    chunks: AsyncIterator[bytes]

    def check(self) -> None:
        """Raises FetchError where the body is not what was asked for."""
        status = self.response.status
        if status in (200, 206):
            return
        host = "" if self.response.url.host == self.asked.host else f"{self.response.url.host} "
        said = f"{self.who}: {host}answers {status} {_phrase(status)}".rstrip()
        if status in (401, 403):
            raise AccessDenied(f"{said}; check the URI, and the credentials in the Secret of spec.model.secretRef")
        if status == 416:
            raise Unreachable(f"{said}: the file has changed while it was read")
        if status in _MAY_PASS or status >= 500:
            raise Unreachable(said, _seconds(self.response.headers.get("Retry-After", "")))
        raise ModelNotFound(f"{said}; check the URI")

    def stream(self, start: int) -> Stream:
        """The body as that of a file which was asked for from byte `start` on. Raises Unreachable."""
        begin, size = self._extent()
        if begin not in (0, start):
            raise Unreachable(f"{self.who}: sends another part of the file than was asked for")
        return Stream(begin, size, _tag(self.response.headers), self.chunks)

    def _extent(self) -> tuple[int, int | None]:
        """Where the body begins in the file, and how long the file is."""
        if self.response.status == 200:
            return 0, self.response.content_length
        match = re.fullmatch(r"bytes ([0-9]+)-[0-9]+/([0-9]+|\*)", self.response.headers.get("Content-Range", ""))
        if match is None:
            raise Unreachable(f"{self.who}: answers 206 without saying which part of the file it sends")
        return int(match[1]), None if match[2] == "*" else int(match[2])


class WebClient:
    """A session with the credentials of one origin, which no other is sent."""

    def __init__(self, session: aiohttp.ClientSession, guard: Guard, home: URL, credentials: str = "") -> None:
        """`credentials`: the Authorization of requests to the origin of `home`."""
        self._session = session
        self._guard = guard
        self._home = home
        self._credentials = credentials

    @asynccontextmanager
    async def get(self, url: URL, headers: Mapping[str, str], who: str) -> AsyncIterator[WebAnswer]:
        """Ask for a URL and follow where it leads; errors begin with `who`.

        Raises FetchError where there is no answer; `WebAnswer.check` judges what there is.
        """
        try:
            hops, response = await self._follow(url, headers, who)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise self._failure(error, who) from None
        async with response:
            yield WebAnswer(who, url, hops, response, self._chunks(response, who))

    def led(self, url: URL, location: str, who: str) -> URL:
        """Where an answer from a URL leads on to; errors begin with `who`. Raises FetchRefused."""
        try:
            target = url.join(url_of(location))
            self._guard.check(target)
        except FetchRefused as error:
            raise FetchRefused(f"{who}: leads to {error}") from None
        return target

    async def _follow(
        self, first: URL, headers: Mapping[str, str], who: str
    ) -> tuple[tuple[Mapping[str, str], ...], aiohttp.ClientResponse]:
        url, hops = first, list[Mapping[str, str]]()
        self._guard.check(url)
        for _ in range(MOST_REDIRECTS + 1):
            self._guard.refusal = None
            own = self._credentials and url.origin() == self._home.origin()
            sent = {"Accept-Encoding": "identity", **headers}
            sent |= {"Authorization": self._credentials} if own else {}
            response = await self._session.get(url, headers=sent, allow_redirects=False)
            hops.append(response.headers)
            if response.status not in _REDIRECTS:
                return tuple(hops), response
            response.close()
            location = response.headers.get("Location")
            if not location:
                raise Unreachable(f"{who}: {shown(str(url))} redirects without saying where to")
            url = self.led(url, location, who)
        raise FetchRefused(f"{who}: redirects more than {MOST_REDIRECTS} times")

    async def _chunks(self, response: aiohttp.ClientResponse, who: str) -> AsyncIterator[bytes]:
        try:
            async for chunk in response.content.iter_chunked(_CHUNK):
                yield chunk
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._failure(error, who) from None

    def _failure(self, error: Exception, who: str) -> FetchError:
        if self._guard.refusal is not None:
            return FetchRefused(f"{who}: {self._guard.refusal}")
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            problem = self._guard.quoted(error.certificate_error)
            return FetchRefused(f"{who}: the certificate of {error.host} cannot be verified: {problem}")
        if isinstance(error, aiohttp.InvalidURL):
            return FetchRefused(f"{who}: redirects to something that is not a URL")
        return Unreachable(f"{who}: {self._guard.quoted(error)}")


def web_session(guard: Guard) -> aiohttp.ClientSession:
    """A session over guarded connections, to be closed."""
    # No proxy from the environment: it would resolve names itself. No cookies, no decompression.
    return aiohttp.ClientSession(
        connector=guard.connector(), timeout=_TIMEOUT, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
    )


def part(start: int, tag: str) -> dict[str, str]:
    """The headers that ask for a file from byte `start` on, if it still has `tag`."""
    return {"Range": f"bytes={start}-", "If-Range": tag} if start and tag else {}


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
