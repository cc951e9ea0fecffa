"""Where the applications keep what they share."""

from aiohttp import web

from chrion_runtime.server.front import Front

FRONT = web.AppKey("front", Front)
