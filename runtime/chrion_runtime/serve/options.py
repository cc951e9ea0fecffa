"""How to serve: addresses and limits."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ServerOptions:
    """Addresses and limits of the server."""

    host: str = "127.0.0.1"
    """The address to listen on: 0.0.0.0 for all of IPv4, :: for all of IPv6 and IPv4."""
    port: int = 8000
    """The port of the inference API; 0 takes any that is free."""
    metrics_port: int | None = 8002
    """The port of /metrics and the health checks; 0 takes any that is free, None opens none."""
    grpc_port: int | None = None
    """The port of the inference API over gRPC; 0 takes any that is free, None opens none."""
    token_file: Path | None = None
    """Tokens, one of which each request must bear; None lets all ask."""
    tls_cert: Path | None = None
    """The server's certificate, with those that it is signed by; None for no encryption."""
    tls_key: Path | None = None
    """Its key, without a passphrase."""
    tls_client_ca: Path | None = None
    """Who signed the certificates that clients must show; None lets all connect."""
    body_limit: int = 64 * 1024 * 1024
    """The largest request body in bytes, after inflating."""
    bodies_limit: int = 512 * 1024 * 1024
    """Bytes that the bodies of all requests in flight may hold together."""
    queue_limit: int = 256
    """Requests of a model that may wait while others run."""
    batch: int = 0
    """The most rows of the first axis that requests which wait are run with together; 0 runs each alone."""
    large_json: int = 128 * 1024
    """JSON of more bytes is read and written in another process."""
    codec_processes: int = 2
    """Processes that read and write large JSON, all but one of them also bodies of megabytes; with 0 the event loop
    does."""
    read_seconds: float = 30.0
    """What a request may take to come in, from its first byte to its last."""
    write_seconds: float = 30.0
    """What a client may take to read its answer."""
    idle_seconds: float = 75.0
    """What a connection may stay open without a request."""
    otlp_endpoint: str | None = None
    """Where traces go, by OTLP/HTTP; None where the OTEL_* variables say, and nowhere without them."""
    run_seconds: float = 300.0
    """What a request may take from its arrival to the end of its run, whatever its client allows."""
    leave_seconds: float = 0.0
    """How long, once told to stop, connections are still taken, each closed with its next answer: time for a load
    balancer to hear of it, and for clients that keep connections open to go elsewhere without losing a request."""
    drain_seconds: float = 30.0
    """How long requests in flight may still take after that."""
