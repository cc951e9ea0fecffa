"""The server of the inference protocol: a shell of aiohttp, and of gRPC, around `chrion_runtime.serve.protocol`."""

from chrion_runtime.serve.addresses import CannotListen
from chrion_runtime.serve.http.app import build_app, build_metrics_app
from chrion_runtime.serve.lifecycle import Listening, listening, serve
from chrion_runtime.serve.models.folder import Entry, RepositoryFolder
from chrion_runtime.serve.models.registry import ModelRegistry
from chrion_runtime.serve.models.repository import Repository
from chrion_runtime.serve.options import ServerOptions

__all__ = [
    "CannotListen",
    "Entry",
    "Listening",
    "ModelRegistry",
    "Repository",
    "RepositoryFolder",
    "ServerOptions",
    "build_app",
    "build_metrics_app",
    "listening",
    "serve",
]
