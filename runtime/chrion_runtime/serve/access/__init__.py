"""Who may ask, and over what: bearer tokens and TLS, off unless files are given; changed files are read again."""

import asyncio
import logging
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Self

from chrion_runtime.errors import RuntimeFailure
from chrion_runtime.live.watch import Watch
from chrion_runtime.serve.access.certificates import CertificateFiles
from chrion_runtime.serve.access.tokens import Tokens
from chrion_runtime.serve.options import ServerOptions

__all__ = ["OPEN_PATHS", "Access"]

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How often files are looked at."""

OPEN_PATHS = frozenset(("/v2/health/live", "/v2/health/ready"))
"""Paths that everyone may ask, for probes carry no tokens."""


@dataclass(frozen=True)
class Access:
    """What a server asks of its clients."""

    tokens: Tokens | None
    """The tokens that let a request in; None where all may ask."""
    certificates: CertificateFiles | None
    """The server's certificate, and whose clients it wants to see; None for no encryption."""

    @classmethod
    def of(cls, options: ServerOptions) -> Self:
        """As the options say. Raises RuntimeFailure for files that cannot be used."""
        tokens = None if options.token_file is None else Tokens(options.token_file)
        certificates = None
        if options.tls_cert is not None and options.tls_key is not None:
            certificates = CertificateFiles(options.tls_cert, options.tls_key, options.tls_client_ca)
        elif options.tls_cert or options.tls_key or options.tls_client_ca:
            raise RuntimeFailure("--tls-cert and --tls-key belong together, and --tls-client-ca needs both")
        if tokens is not None and certificates is None and not _is_loopback(options.host):
            log.warning(
                "tokens are sent unencrypted: give --tls-cert and --tls-key, or end TLS in front of this server"
            )
        return cls(tokens, certificates)

    def context(self, *, asks_clients: bool = True, protocols: tuple[str, ...] = ()) -> ssl.SSLContext | None:
        """What connections are encrypted by; None where they are not.

        `asks_clients` is whether clients must show their certificates where that is wanted, and `protocols` are those
        that ALPN offers.
        """
        return None if self.certificates is None else self.certificates.context(asks_clients, protocols)

    async def follow(self) -> None:
        """Read files again when they change, until cancelled; what cannot be used is logged, and the old one kept."""
        parts = [part for part in (self.tokens, self.certificates) if part is not None]
        watches = [(part, [Watch(path) for path in part.paths]) for part in parts]
        while watches:
            await asyncio.sleep(LOOK_SECONDS)
            for part, files in watches:
                changed = [watch.changed() for watch in files]
                if any(changed):
                    try:
                        part.reload()
                    except RuntimeFailure as error:
                        log.warning("%s; still using the previous version", error)
                    else:
                        log.info("reloaded %s", ", ".join(str(path) for path in part.paths))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
