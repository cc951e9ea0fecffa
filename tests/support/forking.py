"""`chrion` without its second of start-up: a process that has imported it forks for every command it is told to run.

Reads commands as JSON lines, answers each with the exit code; every command is a real process with real streams.
"""

import json
import os
import signal
import sys
import traceback

from chrion.app import load
from chrion.commands import COMMANDS
from chrion.main import main

TIME_LIMIT = 120


def run(arguments: list[str], out: str, err: str, environment: dict[str, str]) -> None:
    """Be the command; never returns."""
    signal.alarm(TIME_LIMIT)
    for fd, path in ((0, os.devnull), (1, out), (2, err)):
        os.dup2(os.open(path, os.O_RDWR), fd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["chrion", *arguments]
    code = 0
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001, it is reported
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    for name in COMMANDS:
        load(name)  # what `main` would import
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            run(*json.loads(line))
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
