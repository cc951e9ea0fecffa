"""Objects of S3 and Google Cloud Storage, through fsspec: read block by block over connections that are guarded."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from chrion_api.redact import shown
from chrion_runtime.fetch.credentials import google_key
from chrion_runtime.fetch.errors import AccessDenied, FetchError, FetchRefused, ModelNotFound, Unreachable
from chrion_runtime.fetch.guard import Guard, url_of
from chrion_runtime.fetch.source import Stream

_BLOCK = 16 << 20
_IDENTITIES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
)


class StoreSource:
    """An object in a bucket."""

    def __init__(self, files: Any, guard: Guard, uri: str) -> None:
        """`files` is one of fsspec's asynchronous file systems."""
        self._files = files
        self._guard = guard
        self._uri = uri
        self._path = uri.partition("://")[2]

    def sibling(self, name: str) -> "StoreSource":
        """The object of this name with the same prefix."""
        return StoreSource(self._files, self._guard, f"{self._uri.rpartition('/')[0]}/{name}")

    async def announced(self, names: Sequence[str]) -> int:
        """As `Source.announced`: who may read objects may not be allowed to list them."""
        del names
        return 0

    @asynccontextmanager
    async def open(self, start: int, tag: str) -> AsyncIterator[Stream]:
        """As `Source.open`."""
        size, found = await self._look()
        begin = start if tag and found == tag else 0
        yield Stream(begin, size, found, self._chunks(begin, size, found))

    async def _look(self) -> tuple[int, str]:
        """The object's size, and what changes with its content."""
        self._guard.refusal = None
        try:
            info = await self._files._info(self._path)
        except Exception as error:  # noqa: BLE001, each store has errors of its own
            raise self._failure(error) from None
        if info.get("type") != "file":
            raise ModelNotFound(f"{self}: is a prefix, not an object; name the ONNX file itself")
        tag = str(info.get("generation") or info.get("ETag") or info.get("etag") or "")
        return int(info["size"]), tag

    async def _chunks(self, begin: int, size: int, tag: str) -> AsyncIterator[bytes]:
        for start in range(begin, size, _BLOCK):
            try:
                yield await self._files._cat_file(self._path, start=start, end=min(start + _BLOCK, size))
            except Exception as error:  # noqa: BLE001, each store has errors of its own
                raise self._failure(error) from None
        if await self._look() != (size, tag):
            raise Unreachable(f"{self}: has changed while it was read")

    def _failure(self, error: Exception) -> FetchError:
        if self._guard.refusal is not None:
            return FetchRefused(f"{self}: {self._guard.refusal}")
        if isinstance(error, FileNotFoundError):
            return ModelNotFound(f"{self}: is not there; check bucket and key")
        text = self._guard.quoted(error)
        denied = isinstance(error, PermissionError) or "Credentials" in type(error).__name__ or "Forbidden" in text
        if denied or getattr(error, "code", None) in (401, 403):
            return AccessDenied(f"{self}: {text}; check the credentials in the Secret of spec.model.secretRef")
        return Unreachable(f"{self}: {text}")

    def __str__(self) -> str:
        return shown(self._uri)


@asynccontextmanager
async def open_store(uri: str, guard: Guard, environment: Mapping[str, str]) -> AsyncIterator[StoreSource]:
    """The object that an s3:// or gs:// URI names. Raises ModelNotFound, FetchRefused, AccessDenied."""
    scheme, _, path = uri.partition("://")
    bucket, _, key = path.partition("/")
    if not bucket or not key or key.endswith("/"):
        raise ModelNotFound(f"{shown(uri)}: names no object; write {scheme}://BUCKET/KEY")
    try:
        files, session = await (_s3 if scheme == "s3" else _gs)(guard, environment)
    except FetchError:
        raise
    except ImportError as error:
        problem = f"{scheme}:// needs the package {error.name}; install chrion[cluster]"
        raise FetchRefused(f"{shown(uri)}: {problem}") from None
    except Exception as error:  # noqa: BLE001, each store has errors of its own
        advice = "check the credentials in the Secret of spec.model.secretRef"
        raise AccessDenied(f"{shown(uri)}: cannot be asked for: {guard.quoted(error)}; {advice}") from None
    try:
        yield StoreSource(files, guard, uri)
    finally:
        await session.close()


async def _s3(guard: Guard, environment: Mapping[str, str]) -> tuple[Any, Any]:
    """The file system of S3, and its connections."""
    import s3fs

    # The node's own identity is not the model's: without credentials of its own the bucket must be public.
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    if endpoint:
        guard.check(url_of(endpoint))
    connector = {"resolver": guard, "socket_factory": guard.socket, "use_dns_cache": False}
    files = s3fs.S3FileSystem(
        anon=not any(environment.get(name) for name in _IDENTITIES),
        endpoint_url=endpoint,
        config_kwargs={"connector_args": connector, "proxies": {}, "retries": {"total_max_attempts": 2}},
        asynchronous=True,
        skip_instance_cache=True,
        use_listings_cache=False,
    )
    return files, await files.set_session()


async def _gs(guard: Guard, environment: Mapping[str, str]) -> tuple[Any, Any]:
    """The file system of Google Cloud Storage, and its connections."""
    # Its way to zonal buckets asks for each bucket's kind by gRPC, past the guard.
    os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"
    from gcsfs.core import GCSFileSystem

    endpoint = environment.get("STORAGE_EMULATOR_HOST")
    if endpoint:
        guard.check(url_of(endpoint))
    files = GCSFileSystem(
        token=google_key(environment) or "anon",
        endpoint_url=endpoint,
        session_kwargs={"connector": guard.connector()},
        asynchronous=True,
        skip_instance_cache=True,
        use_listings_cache=False,
    )
    return files, await files._set_session()
