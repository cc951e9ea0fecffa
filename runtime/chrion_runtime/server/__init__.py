"""The HTTP server of the inference protocol: a shell of aiohttp around `chrion_runtime.protocol`."""

from chrion_runtime.server.app import build_app, build_metrics_app
from chrion_runtime.server.front import Front
from chrion_runtime.server.lifecycle import CannotListen, Listening, listening, serve
from chrion_runtime.server.options import ServerOptions

__all__ = [
    "CannotListen",
    "Front",
    "Listening",
    "ServerOptions",
    "build_app",
    "build_metrics_app",
    "listening",
    "serve",
]
