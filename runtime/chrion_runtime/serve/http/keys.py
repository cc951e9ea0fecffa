"""Where the applications keep what they share."""

from aiohttp import web

from chrion_runtime.serve.models.registry import ModelRegistry

REGISTRY = web.AppKey("registry", ModelRegistry)
