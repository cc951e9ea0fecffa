"""The handlers that kopf calls: thin."""

import asyncio
from contextlib import suppress
from typing import Any

import kopf

from chrion_api.chrionmodel import GROUP, VERSION
from chrion_operator.cluster.kinds import MODEL
from chrion_operator.operator import Operator

WATCH_SECONDS = 300


def register(operator: Operator) -> kopf.OperatorRegistry:
    """A registry with our handlers; they mark nothing on ChrionModels, neither finalizers nor annotations."""
    registry = kopf.OperatorRegistry()
    tasks: list[asyncio.Task[None]] = []

    @kopf.on.login(registry=registry)
    def login(**known: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_via_client(**known)

    @kopf.on.startup(registry=registry)
    async def start(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.enabled = False
        settings.scanning.disabled = True
        settings.watching.server_timeout = WATCH_SECONDS
        await asyncio.to_thread(operator.start)
        tasks.append(asyncio.create_task(operator.pods.ask_forever()))

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: Any) -> None:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await asyncio.to_thread(operator.stop)

    @kopf.on.event(GROUP, VERSION, MODEL.plural, registry=registry)
    async def look(event: Any, **_: Any) -> None:
        operator.controller.happened(MODEL, event["type"] or "ADDED", event["object"])

    @kopf.on.probe(id="leading", registry=registry)
    def leading(**_: Any) -> bool:
        return operator.leads

    return registry
