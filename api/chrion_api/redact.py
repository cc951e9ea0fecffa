"""Take what may be secret out of URLs, and of what others say of them, before it is printed, logged or stored.

Credentials stand before the host of a URL, and signatures and tokens in its query: presigned URLs of S3 and Google,
shared access signatures of Azure. A message ends up in logs, termination messages, events and statuses, which more
people may read than may fetch the model.
"""

import re
from collections.abc import Iterable

HIDDEN = "…"
"""What stands in place of a secret."""
SHORTEST = 4
"""A known secret below this many characters is left: it would be found in every word."""

_QUERY = re.compile(r"[?#]|%3f|%23", re.IGNORECASE)
_AUTHORITY = re.compile(r"(\[[0-9a-f:.%]*\]|[^:/@\[\]]*)(:[0-9]*)?", re.IGNORECASE)
_URL = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//[^\s\"'<>]+", re.IGNORECASE)
_PART = re.compile(r"\?[^\s\"'<>]+")
_SCHEME = re.compile(r"\b(bearer|basic|aws4-hmac-sha256)(?:\s+|%20)[^\"'<>\r\n]+", re.IGNORECASE)
_PAIR = re.compile(
    r"([\w-]*(?:signature|credential|token|secret|password|passwd|(?:api|access|private)[_-]?key(?:id)?)[\w-]*|\bsig)"
    r"([\"']?\s*[=:]\s*[\"']?)[^\s\"'&,;<>]+",
    re.IGNORECASE,
)


def shown(url: str) -> str:
    """A URL as it may be shown: without credentials, query and fragment; `…` says that there was something."""
    scheme, separator, rest = url.partition("//")
    if not separator:
        scheme, rest = "", url
    plain, *query = _QUERY.split(rest, maxsplit=1)
    authority, slash, path = plain.partition("/")
    if not _AUTHORITY.fullmatch(authority) and "@" in rest:
        # With an @ there are credentials; they may hold anything, by mistake a / or ? too.
        host, slash, path = rest.rpartition("@")[2].partition("/")
        authority = f"{HIDDEN}@{_QUERY.split(host)[0]}"
        path, *query = _QUERY.split(path, maxsplit=1)
    return f"{scheme}{separator}{authority}{slash}{path}{f'?{HIDDEN}' if query else ''}"


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """What a library or a server says, with each URL as it may be shown and what looks like a credential left out.

    `secrets` are known ones, which are left out wherever they stand.
    """
    for secret in sorted(filter(lambda known: len(known) >= SHORTEST, secrets), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = _URL.sub(lambda found: shown(found[0]), text)
    text = _PART.sub(f"?{HIDDEN}", text)
    text = _SCHEME.sub(rf"\1 {HIDDEN}", text)
    return _PAIR.sub(rf"\1\2{HIDDEN}", text)
