"""The credentials in the environment that a model is fetched with, and which of what they hold no message may show."""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from chrion_runtime.fetch.errors import AccessDenied

_SECRETS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "HTTP_TOKEN",
    "HTTP_PASSWORD",
    "HF_TOKEN",
)
_KEY_SECRETS = ("private_key", "private_key_id", "client_secret", "refresh_token")
_GOOGLE_TOKENS = "https://oauth2.googleapis.com/token"


def authorization(environment: Mapping[str, str]) -> str:
    """The Authorization that `HTTP_TOKEN`, or `HTTP_USERNAME` and `HTTP_PASSWORD`, stand for; empty without them."""
    if token := environment.get("HTTP_TOKEN"):
        return f"Bearer {token.strip()}"
    if user := environment.get("HTTP_USERNAME"):
        pair = f"{user}:{environment.get('HTTP_PASSWORD', '')}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"
    return ""


def hub_authorization(environment: Mapping[str, str]) -> str:
    """The Authorization that `HF_TOKEN` stands for; empty without it."""
    token = environment.get("HF_TOKEN", "").strip()
    return f"Bearer {token}" if token else ""


def google_key(environment: Mapping[str, str]) -> dict[str, Any] | None:
    """The key of a service account, or of a user, in `GOOGLE_CREDENTIALS`; None without one. Raises AccessDenied."""
    text = environment.get("GOOGLE_CREDENTIALS", "")
    if not text:
        return None
    try:
        key = json.loads(text)
        kind = key["type"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise AccessDenied("GOOGLE_CREDENTIALS: is not the JSON of a key, which has a type") from None
    if kind not in ("service_account", "authorized_user"):
        raise AccessDenied("GOOGLE_CREDENTIALS: has another type; give the key of a service_account")
    return {**key, "token_uri": _GOOGLE_TOKENS}  # a key could name any address to be posted to


def secrets(environment: Mapping[str, str], uri: str) -> tuple[str, ...]:
    """What libraries and stores may have been given, and so may say, and nobody else is to read."""
    return tuple(filter(None, _secrets(environment, uri)))


def _secrets(environment: Mapping[str, str], uri: str) -> Iterator[str]:
    for name in _SECRETS:
        yield environment.get(name, "").strip()
    yield authorization(environment).partition(" ")[2]
    try:
        key = google_key(environment) or {}
        query = urlsplit(uri).query
    except (AccessDenied, ValueError):  # which who uses them will say
        return
    yield from (str(key.get(name, "")) for name in _KEY_SECRETS)
    yield query
    for _, value in parse_qsl(query):
        if len(value) >= 16:  # a signature; others may be a word that is found everywhere
            yield value
