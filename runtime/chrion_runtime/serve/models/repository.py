"""Models that come and go while others serve: load, unload and index, as in Triton's model repository extension."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from chrion_api import ChrionError
from chrion_runtime.servable import Servable
from chrion_runtime.serve.admission.run_queue import RunQueue
from chrion_runtime.serve.models.folder import Entry, RepositoryFolder
from chrion_runtime.serve.models.registry import ModelRegistry, ServedModel
from chrion_runtime.serve.protocol.errors import BadRequest, NotFound, QueueFull, Unavailable
from chrion_runtime.serve.protocol.metadata import MODEL_VERSION

AT_ONCE = 2
"""Models that are loaded, or closed, at once."""
WAITING = 64
"""Loads and unloads that may wait for that."""

Load = Callable[[Entry], Servable]
"""Makes a servable of a model's files; blocks, and raises ChrionError."""


class ModelState(StrEnum):
    """What a model of the repository is at, in Triton's words."""

    READY = "READY"
    LOADING = "LOADING"
    UNLOADING = "UNLOADING"
    UNAVAILABLE = "UNAVAILABLE"


_UNDER_WAY = (ModelState.LOADING, ModelState.UNLOADING)


@dataclass(frozen=True)
class _Seen:
    state: ModelState
    reason: str = ""


class Repository:
    """Loads and unloads the models of a folder; called on the event loop, works on threads of its own."""

    def __init__(self, registry: ModelRegistry, folder: RepositoryFolder, load: Load) -> None:
        self._registry = registry
        self._folder = folder
        self._load = load
        self._queue = RunQueue("repository", AT_ONCE, WAITING, lambda _: None)
        self._seen: dict[str, _Seen] = {}
        self._loaded: set[str] = set()
        """Models that serve and came from the folder; others were there from the start and stay."""
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """One a name for as long as somebody holds it or waits for it: clients may invent names without end."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def index(self, ready: bool = False) -> list[dict[str, str]]:
        """Every model that serves or could be loaded, with its state; only those that are ready where that is asked."""
        names = await self._queue.run(self._folder.names)
        found = []
        known = {*names, *self._registry.names, *(name for name, at in self._seen.items() if at.state in _UNDER_WAY)}
        # What was seen of models that have left the folder is of no use to anybody.
        self._seen = {name: at for name, at in self._seen.items() if name in known}
        for name in sorted(known):
            at = self._seen.get(name, _Seen(ModelState.UNAVAILABLE))
            if name in self._registry.names and at.state is not ModelState.UNLOADING:
                at = _Seen(ModelState.READY)
            if at.state is ModelState.READY or not ready:
                found.append({"name": name, "version": MODEL_VERSION, "state": at.state.value, "reason": at.reason})
        return found

    async def load(self, name: str) -> None:
        """Serve a model; one that serves already is replaced by what its files hold now, and serves until then.

        Raises NotFound, BadRequest with the reason where it cannot be loaded; what served before then still does.
        """
        await self._finish(self._load_one(name))

    async def unload(self, name: str) -> None:
        """Serve a model no more; what it has begun is answered first. Raises BadRequest where it does not serve."""
        await self._finish(self._unload_one(name))

    def _lock(self, name: str) -> asyncio.Lock:
        """What keeps loads and unloads of one name apart."""
        return self._locks.setdefault(name, asyncio.Lock())

    async def _finish(self, work: Coroutine[Any, Any, None]) -> None:
        """Do all of it, even if the client that asked has gone: half a model is of no use."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.shield(task)

    async def _load_one(self, name: str) -> None:
        async with self._lock(name):
            if name in self._registry.names and name not in self._loaded:
                raise BadRequest(f'model "{name}" was not loaded from the repository and stays as it is')
            self._seen[name] = _Seen(ModelState.LOADING)
            try:
                entry = await self._queue.run(partial(self._folder.entry, name))
                servable = await self._queue.run(partial(self._load, entry))
                before = self._registry.add(servable)
            except (NotFound, QueueFull):  # whether there is such a model has not been looked at yet
                self._seen.pop(name, None)
                raise
            except BaseException as error:
                self._seen[name] = _Seen(ModelState.UNAVAILABLE, str(error) or type(error).__name__)
                if isinstance(error, ChrionError) and not hasattr(error, "status"):
                    raise BadRequest(f'model "{name}": {error}') from None
                raise
            self._loaded.add(name)
            self._seen[name] = _Seen(ModelState.READY)
            if before is not None:
                await self._retire(before)

    async def _unload_one(self, name: str) -> None:
        async with self._lock(name):
            if name not in self._loaded:
                raise BadRequest(f'model "{name[:80]}" was not loaded from the repository')
            self._seen[name] = _Seen(ModelState.UNLOADING)
            self._loaded.discard(name)
            left = self._registry.remove(name)
            try:
                await self._retire(left)
            finally:
                self._seen[name] = _Seen(ModelState.UNAVAILABLE, "unloaded")

    async def _retire(self, model: ServedModel) -> None:
        seconds = self._registry.options.drain_seconds
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await model.drained()
        if not await self._queue.run(partial(model.close, 1.0)):
            raise Unavailable(
                f'model "{model.servable.name}" is unloaded, but one of its runs has not ended after {seconds:g} s'
            )
