"""Bearer tokens (RFC 6750) from a file: one on each line."""

import hmac
from hashlib import sha256
from pathlib import Path

from chrion_runtime.errors import RuntimeFailure

LEAST_LENGTH = 16
"""Characters of a token; shorter ones can be guessed."""
_SCHEME = "bearer "


class Tokens:
    """The tokens of a file. Only their digests are kept, so that nothing that shows this shows them."""

    def __init__(self, path: Path) -> None:
        """Raises RuntimeFailure where the file has no tokens that can be used."""
        self.paths = (path,)
        self._digests = _read(path)

    def reload(self) -> None:
        """Read the file again. Raises RuntimeFailure, and then all is as before."""
        self._digests = _read(*self.paths)

    def allow(self, authorization: str | None) -> bool:
        """Whether a request with this Authorization header may be answered; takes as long whichever token it is."""
        if authorization is None or authorization[: len(_SCHEME)].lower() != _SCHEME:
            return False
        given = _digest(authorization[len(_SCHEME) :].strip())
        found = False
        for known in self._digests:
            found |= hmac.compare_digest(given, known)
        return found


def _read(path: Path) -> tuple[bytes, ...]:
    try:
        text = path.read_text(encoding="ascii")
    except OSError as error:
        raise RuntimeFailure(f"--token-file: {path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RuntimeFailure(f"--token-file: {path}: tokens are ASCII") from None
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    tokens = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not tokens:
        raise RuntimeFailure(f"--token-file: {path}: contains no tokens: put one on each line")
    for number, token in tokens:
        if len(token) < LEAST_LENGTH or not token.isprintable() or " " in token:
            raise RuntimeFailure(
                f"--token-file: {path}: line {number}: a token needs at least {LEAST_LENGTH} characters and no "
                "spaces; openssl rand -hex 32 makes one"
            )
    return tuple(_digest(token) for _, token in tokens)


def _digest(token: str) -> bytes:
    return sha256(token.encode(errors="surrogateescape")).digest()
