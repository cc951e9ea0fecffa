"""Files over https, and http where it is allowed."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from yarl import URL

from chrion_api.redact import shown
from chrion_runtime.fetch.client import WebClient, part
from chrion_runtime.fetch.source import Stream


class WebSource:
    """A file behind a URL."""

    def __init__(self, client: WebClient, url: URL) -> None:
        """`client` has the credentials of the URL's own origin."""
        self._client = client
        self._url = url

    def sibling(self, name: str) -> "WebSource":
        """The file of this name in the same folder, with the same query, which may hold a signature for all of it."""
        return WebSource(self._client, self._url.parent.joinpath(*name.split("/")).with_query(self._url.query))

    async def announced(self, names: Sequence[str]) -> int:
        """As `Source.announced`: a web server lists nothing."""
        del names
        return 0

    @asynccontextmanager
    async def open(self, start: int, tag: str) -> AsyncIterator[Stream]:
        """As `Source.open`."""
        async with self._client.get(self._url, part(start, tag), str(self)) as answer:
            answer.check()
            yield answer.stream(start)

    def __str__(self) -> str:
        return shown(str(self._url))
