"""How to serve: addresses and limits."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerOptions:
    """Addresses and limits of the HTTP server."""

    host: str = "127.0.0.1"
    """The address to listen on: 0.0.0.0 for all of IPv4, :: for all of IPv6 and IPv4."""
    port: int = 8000
    """The port of the inference API; 0 takes any that is free."""
    metrics_port: int | None = 8002
    """The port of /metrics and the health checks; 0 takes any that is free, None opens none."""
    body_limit: int = 64 * 1024 * 1024
    """The largest request body in bytes, after inflating."""
    queue_limit: int = 256
    """Requests of a model that may wait while others run."""
    drain_seconds: float = 30.0
    """How long requests in flight may still take once the server is told to stop."""
