"""An HTTPS server on the node that pods fetch models from: good files, and what must not be followed."""

import ssl
import subprocess
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socketserver import ThreadingTCPServer
from typing import Any

NODE_ADDRESS = "10.99.0.1"
"""The node's, in the cluster that `make test-e2e` makes: pods reach what is served there."""

METADATA_SERVICE = "https://169.254.169.254/latest/meta-data"


class ModelServer:
    """Serves the bytes in `files` by their names, and redirects from `redirects`; anything else is not found."""

    def __init__(self, address: str, folder: Path) -> None:
        """`folder`: where its key and certificate go. Pods trust it by mounting that folder."""
        self.address = address
        self.certificate = folder / "ca.crt"
        self.files: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        key = folder.parent / f"{folder.name}.key"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
                *("-days", "30", "-subj", "/CN=models", "-addext", f"subjectAltName=IP:{address}"),
                *("-keyout", key, "-out", self.certificate),
            ],
            check=True,
            capture_output=True,
        )
        self._server = _Server((address, 0), _handler(self))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        # The handshake is the handler's, in its own thread, so that a client that does not begin one holds up nobody.
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def url(self, name: str) -> str:
        """The URL of a name, whether there is something or not."""
        return f"https://{self.address}:{self._server.server_address[1]}/{name}"

    def add(self, name: str, content: bytes) -> str:
        """Serve `content`; its URL."""
        self.files[name] = content
        return self.url(name)

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingTCPServer):
    """As HTTPServer, without asking for the name of its own address, which there is nobody to ask for."""

    allow_reuse_address = HTTPServer.allow_reuse_address
    daemon_threads = True


def _handler(server: ModelServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.lstrip("/")
            if name in server.redirects:
                self._answer(HTTPStatus.FOUND, b"", Location=server.redirects[name])
            elif name in server.files:
                self._answer(HTTPStatus.OK, server.files[name])
            else:
                self._answer(HTTPStatus.NOT_FOUND, b"")

        def _answer(self, status: HTTPStatus, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for header, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(header, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, the base class's name
            """Say nothing."""

    return Handler
