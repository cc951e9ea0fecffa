"""Connections that go only where models may be fetched from: checked as they are made, at the address they go to.

A check of the URL alone would miss what a name resolves to, and a check of the name before the connection would miss a
name that resolves to something else the next time. This one stands where sockets are made, for every connection.
"""

import errno
import re
import socket
import ssl
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from chrion_api.redact import redacted, shown
from chrion_runtime.fetch.addresses import Allowed
from chrion_runtime.fetch.errors import FetchRefused


class Guard(AbstractResolver):
    """Resolves names, and makes sockets for addresses that are allowed."""

    def __init__(self, allowed: Allowed, resolver: AbstractResolver | None = None, secrets: Sequence[str] = ()) -> None:
        """Made where the event loop runs; `resolver` in place of the system's. `secrets` are never quoted."""
        self.allowed = allowed
        self._secrets = secrets
        self.refusal: FetchRefused | None = None
        """Why the last connection was refused."""
        self._resolver = resolver or aiohttp.ThreadedResolver()
        self._hosts: defaultdict[str, set[str]] = defaultdict(set)

    def connector(self) -> aiohttp.TCPConnector:
        """For an aiohttp session; without happy eyeballs, which tries addresses side by side."""
        return aiohttp.TCPConnector(
            resolver=self,
            use_dns_cache=False,
            socket_factory=self.socket,
            happy_eyeballs_delay=None,
            ssl=ssl.create_default_context(),  # by SSL_CERT_FILE, where that is set
        )

    def check(self, url: URL) -> None:
        """What can be said of a URL before anything is resolved. Raises FetchRefused."""
        if url.user is not None or url.password is not None:
            raise FetchRefused(
                f"{shown(str(url))}: holds credentials; put them into the Secret of spec.model.secretRef"
            )
        if not url.host:
            raise FetchRefused(f"{shown(str(url))}: names no host")
        if url.scheme != "https" and not (url.scheme == "http" and self.allowed.names(url.host)):
            raise FetchRefused(
                f"{shown(str(url))}: is not https; plain http is only for hosts that --allow names (CHRION_FETCH_ALLOW)"
            )

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a name, remembered for the moment of the connection."""
        found = await self._resolver.resolve(host, port, family)
        for result in found:
            self._hosts[result["host"]].add(host)
        return found

    def socket(self, info: tuple[Any, ...]) -> socket.socket:
        """A socket for an address that `getaddrinfo` might have found; PermissionError for one that is refused."""
        family, kind, protocol, _, target = info
        address = str(target[0])
        hosts = sorted(self._hosts[address])
        if objection := self.allowed.objection(address, hosts):
            name = f"{hosts[0]} resolves to {address}, which" if hosts else address
            self.refusal = FetchRefused(f"{name} is {objection}")
            raise PermissionError(errno.EACCES, str(self.refusal))
        return socket.socket(family, kind, protocol)

    def quoted(self, error: Exception) -> str:
        """What a library or a store says, on one line, of some length, and without secrets."""
        text = " ".join(str(error).split()) or type(error).__name__
        return redacted(text, self._secrets)[:300]

    async def close(self) -> None:
        """Close the resolver."""
        await self._resolver.close()


def url_of(text: str) -> URL:
    """A URL as it was written: a signature may hang on each letter. Raises FetchRefused."""
    try:
        url = URL(text, encoded=re.fullmatch(r"[!-~]+", text) is not None)
        str(url)  # only now are host and port looked at
    except ValueError:  # whose text quotes what cannot be read
        raise FetchRefused(f"{shown(text)}: is not a URL: its host or port cannot be read") from None
    return url
