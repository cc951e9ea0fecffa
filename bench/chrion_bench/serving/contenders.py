"""Who is compared, and how each is started."""

import sys
from collections.abc import Iterator
from pathlib import Path

from chrion_bench.serving.process import Program, ServerFailed
from chrion_bench.serving.venvs import python_of

SERVERS = Path(__file__).parent / "servers"

CHRION, BARE, BARE_UVLOOP, MLSERVER, KSERVE = "chrion", "bare aiohttp", "bare aiohttp, uvloop", "mlserver", "kserve"

JSON_ONLY = frozenset({MLSERVER})
"""MLServer's HTTP refuses binary tensors."""


def chrion(*more: str) -> Program:
    """Chrion with everything on; `more` are options such as `queue_limit=8`."""
    return Program(CHRION, Path(sys.executable), SERVERS / "serve_chrion.py", more)


def checkout(folder: Path) -> Program:
    """Chrion as another checkout has it, in that one's own environment (`make setup`)."""
    server = folder / SERVERS.relative_to(Path(__file__).parents[3]) / "serve_chrion.py"
    return Program(f"{CHRION} at {folder}", folder / ".venv" / "bin" / "python", server)


def bare(*more: str) -> Program:
    """The bare server, with `uvloop` on that."""
    return Program(BARE_UVLOOP if more else BARE, Path(sys.executable), SERVERS / "serve_bare.py", more)


def others() -> Iterator[Program | tuple[str, str]]:
    """MLServer and KServe; where one cannot be had, its name and why."""
    for name in (MLSERVER, KSERVE):
        try:
            yield Program(name, python_of(name), SERVERS / f"serve_{name}.py")
        except ServerFailed as error:
            yield name, str(error)
