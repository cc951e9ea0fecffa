"""Write files so that nobody ever sees half of one: aside, then renamed."""

import os
import tempfile
from pathlib import Path

from chrion_api import ChrionError


class WriteFailed(ChrionError):
    """A file could not be written, for lack of space or of permission."""


def write_aside(path: Path, data: bytes | str) -> None:
    """Write `data` to `path` in one step; raises WriteFailed and leaves nothing behind."""
    content = data.encode() if isinstance(data, str) else data
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise WriteFailed(f"{path}: cannot be written: {error.strerror or error}; nothing was changed") from None
