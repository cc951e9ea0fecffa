"""The server of the inference protocol: a shell of aiohttp, and of gRPC, around `chrion_runtime.protocol`."""

from chrion_runtime.server.addresses import CannotListen
from chrion_runtime.server.app import build_app, build_metrics_app
from chrion_runtime.server.front import Front
from chrion_runtime.server.lifecycle import Listening, listening, serve
from chrion_runtime.server.options import ServerOptions
from chrion_runtime.server.repository import Repository
from chrion_runtime.server.repository_folder import Entry, RepositoryFolder

__all__ = [
    "CannotListen",
    "Entry",
    "Front",
    "Listening",
    "Repository",
    "RepositoryFolder",
    "ServerOptions",
    "build_app",
    "build_metrics_app",
    "listening",
    "serve",
]
