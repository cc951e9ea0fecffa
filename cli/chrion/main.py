"""The `chrion` command. Errors a user can act on are one line and exit code 2."""

import errno
import os
import sys
from io import TextIOWrapper

from chrion.installation import check_installation
from chrion_api import ChrionError
from chrion_api.one_line import one_line

BAD_INPUT = 2
"""The exit code of bad input, as of bad options."""
INTERRUPTED = 130
"""The exit code of Ctrl-C, as shells have it."""


def main() -> None:
    """Run the command line and leave with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # names of models and nodes may hold anything
    try:
        check_installation()
        # Only now: the commands import ONNX Runtime.
        from chrion.app import app

        app()
    except ChrionError as error:
        _leave(str(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _leave(f"{error.filename or 'the disk'}: no space left; free some or set CHRION_CACHE to another folder")


def _leave(text: str) -> None:
    # A model's own names stand in some errors: they must break no line and reach no terminal as control codes.
    print(f"chrion: {one_line(text)}", file=sys.stderr)
    sys.exit(BAD_INPUT)
