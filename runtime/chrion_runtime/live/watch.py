"""Notice that a file has changed, as ConfigMaps change theirs: a link to the folder is swapped, all at once.

Renames over the file and edits in place are noticed too. Polling needs nothing of the file system and asks it a
microsecond twice a second.
"""

import os
from pathlib import Path

Signature = tuple[str, int, int, int, int] | None


class Watch:
    """One file, from when this is made; who reads the file first makes it before."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known = _signature(path)
        self._last = self._known
        self.missing = False
        """Whether the file was not there when `vanished` was last asked."""

    def vanished(self) -> bool:
        """Whether the file has gone since this was last asked; it may come back."""
        before, self.missing = self.missing, self._last is None
        return self.missing and not before

    def changed(self) -> bool:
        """Whether there is new content to read; called every now and then.

        A change counts once the file has stayed as it is from one call to the next: who edits it in place may be at
        it. A file that vanishes is no change; when it is back, it is.
        """
        now = _signature(self.path)
        settled = now == self._last
        self._last = now
        if now is None or now == self._known or not settled:
            return False
        self._known = now
        return True


def _signature(path: Path) -> Signature:
    try:
        found = path.stat()
        return os.path.realpath(path), found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
    except OSError:
        return None
