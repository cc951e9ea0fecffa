"""A place to plan one model of the suite in."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder for one model and all that is made of it: the suite's weights together would fill a disk."""
    before = os.environ.get("CHRION_CACHE")
    with tempfile.TemporaryDirectory(prefix="chrion-bench-") as folder:
        os.environ["CHRION_CACHE"] = str(Path(folder) / "cache")
        try:
            yield Path(folder)
        finally:
            if before is None:
                del os.environ["CHRION_CACHE"]
            else:
                os.environ["CHRION_CACHE"] = before
