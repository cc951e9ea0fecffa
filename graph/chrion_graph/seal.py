"""Notice damage to what is kept on disk: its digests are kept with it, and compared when it is loaded.

That finds what a loss of power, a failing disk or a slip of the hand has done. It is no signature: whoever may write to
the files may write their digests too.
"""

import hashlib
import stat
from collections.abc import Collection
from pathlib import Path

from chrion_graph.files import write_aside
from chrion_graph.load import file_digest

SUMS_FILE = "SHA256SUMS"
"""The digests of a folder's files, as `sha256sum --check` reads them."""


def seal(folder: Path, names: Collection[str]) -> None:
    """Keep the digests of these files beside them. Raises OSError, WriteFailed."""
    write_aside(folder / SUMS_FILE, "".join(f"{file_digest(folder / name)}  {name}\n" for name in names))


def damage(folder: Path, names: Collection[str]) -> str | None:
    """What is not as it was when the folder was sealed; None where these files are."""
    try:
        lines = (folder / SUMS_FILE).read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return f"{SUMS_FILE} cannot be read"
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name in names:
        try:
            # A pipe would never end.
            if not stat.S_ISREG((folder / name).stat().st_mode) or file_digest(folder / name) != sums.get(name):
                return f"the digest of {name} has changed since it was written"
        except OSError as error:
            return f"{name} cannot be read: {error.strerror}"
    return None


def sealed(data: bytes) -> bytes:
    """Data with its digest in a line before it."""
    return f"{hashlib.sha256(data).hexdigest()}\n".encode() + data


def unsealed(content: bytes) -> bytes | None:
    """The data that was sealed; None where it is damaged."""
    _, _, data = content.partition(b"\n")
    return data if content == sealed(data) else None
