"""Fetch a model: its file, the external data that this names, and the check of its digest, all or nothing."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from aiohttp.abc import AbstractResolver

from chrion_api.redact import shown
from chrion_graph.errors import ModelError, UnsafeModel
from chrion_graph.files import WriteFailed
from chrion_graph.limits import GIB, Limits
from chrion_graph.load import digest, look_into
from chrion_graph.model_worker import isolated
from chrion_runtime.fetch.addresses import Allowed
from chrion_runtime.fetch.client import WebClient, web_session
from chrion_runtime.fetch.credentials import authorization, secrets
from chrion_runtime.fetch.download import check_size, download
from chrion_runtime.fetch.errors import DigestMismatch, FetchRefused, Unreachable
from chrion_runtime.fetch.guard import Guard, url_of
from chrion_runtime.fetch.hub import open_hub
from chrion_runtime.fetch.local import LocalSource
from chrion_runtime.fetch.patience import Patience, patiently
from chrion_runtime.fetch.source import Source
from chrion_runtime.fetch.store import open_store
from chrion_runtime.fetch.web import WebSource

T = TypeVar("T")

_MOUNTED = ("pvc", "configmap", "oci")


@dataclass(frozen=True)
class Wanted:
    """A model to fetch, and within which limits."""

    uri: str
    output: Path
    sha256: str | None = None
    """The digest that it must have; with external data that over all files, as plans name it."""
    most_bytes: int = 8 * GIB
    """What the model's file and its external data may take together."""
    allowed: Allowed = field(default_factory=Allowed)
    patience: Patience = field(default_factory=Patience)
    seconds: float = 3600.0
    """How long all of it may take."""


@dataclass(frozen=True)
class Fetched:
    """A model that is there."""

    sha256: str
    size: int
    """Bytes of all files."""
    files: tuple[str, ...]
    """External data files, relative to the model's folder."""
    kept: bool = False
    """Whether it was there already."""


async def fetch(wanted: Wanted, environment: Mapping[str, str], resolver: AbstractResolver | None = None) -> Fetched:
    """Bring a model to `wanted.output`, its external data beside it; credentials come from `environment`.

    What is there already with the digest that is wanted is kept. Nothing is left behind where it fails. Raises
    FetchError, ModelError, WriteFailed.
    """
    limits = Limits(model_bytes=wanted.most_bytes)
    if wanted.sha256 is not None and (there := _already(wanted, limits)):
        return there
    aside = wanted.output.parent / f".{wanted.output.name}.fetch"
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        async with asyncio.timeout(wanted.seconds):
            async with _source(wanted, environment, resolver) as source:
                fetched = await _fetch(source, wanted, aside / wanted.output.name, limits)
        for name in (*fetched.files, wanted.output.name):
            target = wanted.output.parent / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (aside / name).replace(target)
    except TimeoutError:
        raise Unreachable(
            f"{shown(wanted.uri)}: was not fetched within {wanted.seconds:g} s; raise --timeout"
        ) from None
    except OSError as error:
        raise WriteFailed(f"{wanted.output}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return fetched


async def _fetch(source: Source, wanted: Wanted, target: Path, limits: Limits) -> Fetched:
    size = await download(source, target, wanted.most_bytes, wanted.patience)
    contents = await _inspect(look_into, target, limits, source)
    if target.name in contents.external:
        raise UnsafeModel(f'{source}: keeps data in "{target.name}", the name that it is to have here itself')
    if contents.external:
        announced = await patiently(lambda: source.announced(contents.external), wanted.patience)
        check_size(size + announced, wanted.most_bytes, source)
    for name in contents.external:
        data = target.parent / name
        data.parent.mkdir(parents=True, exist_ok=True)
        size += await download(source.sibling(name), data, wanted.most_bytes - size, wanted.patience)
    sha256 = contents.sha256
    if sha256 is None:
        sha256 = await _inspect(digest, target, limits, source)
    if wanted.sha256 not in (None, sha256):
        raise DigestMismatch(f"{source}: has the digest {sha256}, not {wanted.sha256}; correct the URI or the sha256")
    return Fetched(sha256, size, contents.external)


async def _inspect(function: Callable[[Path, Limits], T], model: Path, limits: Limits, source: Source) -> T:
    """What a function finds in the model's file, in a process of its own: nobody has looked at this file before."""

    def look() -> T:
        return isolated(function, model, limits, memory_bytes=limits.memory, seconds=limits.seconds, what=str(source))

    try:
        return await asyncio.to_thread(look)
    except ModelError as error:
        raise type(error)(str(error).replace(str(model), str(source))) from None


def _already(wanted: Wanted, limits: Limits) -> Fetched | None:
    """The model as an earlier try left it, if it is the one that is wanted."""
    try:
        if digest(wanted.output, limits) != wanted.sha256:
            return None
        files = look_into(wanted.output, limits).external
    except ModelError:
        return None
    size = sum((wanted.output.parent / name).stat().st_size for name in (wanted.output.name, *files))
    return Fetched(wanted.sha256, size, files, kept=True)


@asynccontextmanager
async def _source(
    wanted: Wanted, environment: Mapping[str, str], resolver: AbstractResolver | None
) -> AsyncIterator[Source]:
    """Where the model comes from, by its URI's scheme. Raises FetchError."""
    uri = wanted.uri
    scheme, separator, path = uri.partition("://")
    if not separator or not path:
        raise FetchRefused(
            f'"{shown(uri)}" is not a URI such as https://HOST/MODEL.onnx, hf://OWNER/REPO/MODEL.onnx, s3://BUCKET/KEY '
            "or file:///PATH"
        )
    if scheme in _MOUNTED:
        raise FetchRefused(
            f"{shown(uri)}: is mounted by the operator and not fetched; name the file in the volume by file://"
        )
    if scheme == "file":
        yield LocalSource(Path(path))
        return
    guard = Guard(wanted.allowed, resolver, secrets(environment, uri))
    if scheme in ("s3", "gs"):
        async with open_store(uri, guard, environment) as object_source:
            yield object_source
    elif scheme == "hf":
        async with web_session(guard) as session:
            yield open_hub(uri, session, guard, environment)
    elif scheme in ("https", "http"):
        url = url_of(uri)
        async with web_session(guard) as session:
            yield WebSource(WebClient(session, guard, url, authorization(environment)), url)
    else:
        raise FetchRefused(f"{shown(uri)}: {scheme}:// is not supported; use https://, hf://, s3://, gs:// or file://")
