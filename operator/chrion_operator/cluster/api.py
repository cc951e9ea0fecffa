"""The API server, spoken to in plain dicts: get, list, watch, create, apply, patch, delete.

Raises ApiError with the server's own sentence; ApiNotFound, ApiConflict and ApiGone where callers tell them apart,
ApiUnavailable where the server cannot be reached.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

import orjson
import urllib3
from kubernetes.client import ApiClient, Configuration
from kubernetes.config import ConfigException, load_incluster_config, load_kube_config

from chrion_operator.cluster.errors import (
    ApiAnswerTooLarge,
    ApiConflict,
    ApiError,
    ApiGone,
    ApiNotFound,
    ApiUnavailable,
)
from chrion_operator.cluster.kinds import Kind, kind_of
from chrion_operator.cluster.metrics import API_REQUESTS
from chrion_operator.cluster.reading import read_event, read_list, read_object
from chrion_operator.names import FIELD_MANAGER, Object

Read = TypeVar("Read")

PAGE = 200
"""Objects of a list that are asked for at once."""
MAX_BYTES = 16 << 20
"""The largest answer, and event of a watch: a page of so many large objects is asked for in smaller ones."""
CONNECT_SECONDS, READ_SECONDS = 5, 30
"""For the connection, and from one piece of an answer to the next."""
ANSWER_SECONDS = 60
"""For a whole answer but a watch's, so that one that never ends holds no worker."""

_ERRORS = {HTTPStatus.NOT_FOUND: ApiNotFound, HTTPStatus.CONFLICT: ApiConflict, HTTPStatus.GONE: ApiGone}


def connect() -> ApiClient:
    """A client for the cluster that this process runs in, or else that of the kubeconfig. Raises ApiUnavailable."""
    configuration = Configuration()
    try:
        load_incluster_config(client_configuration=configuration)
    except ConfigException:
        try:
            load_kube_config(client_configuration=configuration)
        except Exception as error:
            # It lets through whatever reading the file raises.
            problem = " ".join(str(error).split())[:200]
            raise ApiUnavailable(f"found no pod service account and no usable kubeconfig: {problem}") from error
    configuration.keep_alive = True
    configuration.connection_pool_maxsize = 64
    return ApiClient(configuration)


class Api:
    """One API server. May be used by any number of threads."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """One object, that of this name in this namespace and no other. Raises ApiNotFound."""
        return self._json("GET", kind.path(namespace, name))

    def read(self, path: str) -> Object:
        """Whatever is at a path, such as /version. Raises ApiNotFound."""
        return self._json("GET", path)

    def list(self, kind: Kind, namespace: str = "", labels: str = "", fields: str = "") -> "Listing":
        """All objects that match the selectors, one after the other as they are read."""
        return Listing(self, kind.path(namespace), {"labelSelector": labels, "fieldSelector": fields})

    def page(self, path: str, query: Mapping[str, str]) -> tuple[Iterator[Object], Object]:
        """A part of a list, and its metadata. Raises ApiAnswerTooLarge."""
        return _parsed(read_list, _whole(self._request("GET", path, query)))

    def watch(
        self, kind: Kind, namespace: str, labels: str, version: str, seconds: int
    ) -> Iterator[tuple[str, Object]]:
        """What happens after `version`, as (ADDED | MODIFIED | DELETED | BOOKMARK, object), for at most `seconds`.

        Raises ApiGone where `version` is too old to go on from.
        """
        query = {
            "watch": "1",
            "resourceVersion": version,
            "labelSelector": labels,
            "timeoutSeconds": str(seconds),
            "allowWatchBookmarks": "true",
        }
        response = self._request("GET", kind.path(namespace), query, read_seconds=seconds + READ_SECONDS)
        try:
            for line in _lines(response):
                event, thing = _parsed(read_event, line)
                if event == "ERROR":
                    raise _error(int(thing.get("code", 500)), thing)
                yield event, thing
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ApiUnavailable(f"the watch of {kind.plural} was interrupted: {error}") from error
        finally:
            response.close()

    def create(self, manifest: Mapping[str, Any]) -> Object:
        """Create an object. Raises ApiConflict where there is one of that name, whoever's it is."""
        metadata = manifest["metadata"]
        path = kind_of(dict(manifest)).path(metadata.get("namespace", ""))
        return self._json("POST", path, {"fieldManager": FIELD_MANAGER}, manifest, "application/json")

    def apply(self, manifest: Mapping[str, Any], *, force: bool) -> Object:
        """Server-side apply: create the object, or make it hold what the manifest says; returns it as it is then.

        Without `force`, raises ApiConflict where another manager has set one of the manifest's fields to another value.
        """
        metadata = manifest["metadata"]
        return self._json(
            "PATCH",
            kind_of(dict(manifest)).path(metadata.get("namespace", ""), metadata["name"]),
            {"fieldManager": FIELD_MANAGER, "force": "true" if force else "false"},
            manifest,
            "application/apply-patch+yaml",
        )

    def patch(self, kind: Kind, namespace: str, name: str, body: Mapping[str, Any], subresource: str = "") -> Object:
        """JSON merge patch. Raises ApiNotFound, and ApiConflict where `body` names another resource version."""
        query = {"fieldManager": FIELD_MANAGER}
        path = kind.path(namespace, name, subresource)
        return self._json("PATCH", path, query, body, "application/merge-patch+json")

    def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> Object | None:
        """Delete an object and, in the background, what it owns; one that is not there, or has another uid, is well.

        Returns the object where it stays until its finalizers are done; None where it is gone.
        """
        body: Object = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        try:
            left = self._json("DELETE", kind.path(namespace, name), {}, body, "application/json")
        except (ApiNotFound, ApiConflict):
            return None
        return left if left.get("metadata", {}).get("finalizers") else None

    def _json(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "",
    ) -> Object:
        return _parsed(read_object, _whole(self._request(method, path, query, body, content_type)))

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "",
        read_seconds: float = READ_SECONDS,
    ) -> urllib3.BaseHTTPResponse:
        headers = {"Accept": "application/json"} | ({"Content-Type": content_type} if content_type else {})
        call = self._client.param_serialize(
            method,
            path,
            query_params=[(name, value) for name, value in (query or {}).items() if value],
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        API_REQUESTS.labels(verb=method).inc()
        try:
            answer = self._client.call_api(*call, _request_timeout=(CONNECT_SECONDS, read_seconds)).response
            if answer.status >= HTTPStatus.BAD_REQUEST:
                raise _error(answer.status, _status(_whole(answer)))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ApiUnavailable(f"the API server cannot be reached: {error}") from error
        response: urllib3.BaseHTTPResponse = answer
        return response


class Listing:
    """The objects of a list, read page by page while it is gone through, once."""

    def __init__(self, api: Api, path: str, query: Mapping[str, str]) -> None:
        self.version = ""
        """The resource version of the list, to watch from; known at its end."""
        self._api, self._path, self._query = api, path, query

    def __iter__(self) -> Iterator[Object]:
        """Raises ApiError."""
        size, more = PAGE, ""
        while True:
            try:
                items, metadata = self._api.page(self._path, {**self._query, "limit": str(size), "continue": more})
            except ApiAnswerTooLarge:
                if size == 1:
                    raise
                size = max(1, size // 8)
                continue
            yield from items
            self.version, more = metadata["resourceVersion"], metadata.get("continue", "")
            if not more:
                return


def _whole(response: urllib3.BaseHTTPResponse) -> bytes:
    """All of an answer. Raises ApiAnswerTooLarge, ApiUnavailable."""
    parts: list[bytes] = []
    left, ends = MAX_BYTES, time.monotonic() + ANSWER_SECONDS
    try:
        for part in response.stream(1 << 16, decode_content=False):
            parts.append(part)
            left -= len(part)
            if left < 0:
                response.close()
                raise ApiAnswerTooLarge(f"the API server's answer has more than {MAX_BYTES >> 20} MiB")
            if time.monotonic() > ends:
                response.close()
                raise ApiUnavailable(f"the API server took more than {ANSWER_SECONDS} s to answer")
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise ApiUnavailable(f"the API server's answer was interrupted: {error}") from error
    return b"".join(parts)


def _parsed(read: Callable[[bytes], Read], text: bytes) -> Read:
    try:
        return read(text)
    except (ValueError, KeyError) as error:
        raise ApiUnavailable(f"the API server's answer cannot be read: {error}") from error


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    pending: list[bytes] = []
    size = 0
    for chunk in response.stream(1 << 16, decode_content=False):
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            yield b"".join([*pending, line])
            pending.clear()
            size = 0
        if rest:
            pending.append(rest)
            size += len(rest)
        if size > MAX_BYTES:
            raise ApiAnswerTooLarge(f"an event of a watch has more than {MAX_BYTES >> 20} MiB")


def _status(data: bytes) -> Object:
    try:
        status = orjson.loads(data)
    except orjson.JSONDecodeError:
        status = None
    return status if isinstance(status, dict) else {"message": data.decode(errors="replace")[:500]}


def _error(code: int, status: Object) -> ApiError:
    return _ERRORS.get(HTTPStatus(code), ApiError)(str(status.get("message") or status.get("reason") or code), code)
