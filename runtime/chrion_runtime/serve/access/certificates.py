"""TLS of a server: its certificate and key, and the authority whose clients it lets in."""

import ssl
from pathlib import Path
from weakref import WeakSet

from chrion_runtime.errors import RuntimeFailure


class CertificateFiles:
    """The files, and the contexts that were made of them, which follow when the certificate changes.

    A changed client authority is trusted in addition to the previous one until the server restarts, because a context
    forgets none.
    """

    def __init__(self, cert: Path, key: Path, client_ca: Path | None) -> None:
        """Raises RuntimeFailure where they cannot be used."""
        self.paths = (cert, key) if client_ca is None else (cert, key, client_ca)
        self._cert, self._key, self._client_ca = cert, key, client_ca
        self._made: WeakSet[ssl.SSLContext] = WeakSet()
        self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), asks_clients=True)

    def context(self, asks_clients: bool, protocols: tuple[str, ...]) -> ssl.SSLContext:
        """A context of TLS 1.2 or newer. Raises RuntimeFailure."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        if protocols:
            made.set_alpn_protocols(protocols)
        self._load(made, asks_clients)
        self._made.add(made)
        return made

    def reload(self) -> None:
        """Read the files again, for handshakes from now on. Raises RuntimeFailure, and then all is as before."""
        self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), asks_clients=True)
        for context in self._made:
            self._load(context, asks_clients=context.verify_mode is ssl.CERT_REQUIRED)

    def _load(self, context: ssl.SSLContext, asks_clients: bool) -> None:
        for option, path in (("--tls-cert", self._cert), ("--tls-key", self._key)):
            try:
                path.read_bytes()
            except OSError as error:
                raise RuntimeFailure(f"{option}: {path}: cannot be read: {error.strerror}") from None
        try:
            context.load_cert_chain(self._cert, self._key, password=_refuse_to_ask)
        except _Encrypted:
            raise RuntimeFailure(f"--tls-key: {self._key}: is encrypted: give a key without a passphrase") from None
        except OSError as error:  # ssl.SSLError is one; files may go between two reads
            if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
                problem = f"is not the key of --tls-cert {self._cert}"
                raise RuntimeFailure(f"--tls-key: {self._key}: {problem}") from None
            problem = "do not contain a certificate and its key in PEM"
            raise RuntimeFailure(f"--tls-cert, --tls-key: {self._cert}, {self._key}: {problem}") from None
        if self._client_ca is None or not asks_clients:
            return
        try:
            context.load_verify_locations(self._client_ca)
        except OSError as error:  # ssl.SSLError is one
            said = "is not a certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
            raise RuntimeFailure(f"--tls-client-ca: {self._client_ca}: {said}") from None
        context.verify_mode = ssl.CERT_REQUIRED


class _Encrypted(Exception):
    """The key wants a passphrase."""


def _refuse_to_ask() -> str:
    """In place of a question on the terminal. Raises _Encrypted."""
    raise _Encrypted
