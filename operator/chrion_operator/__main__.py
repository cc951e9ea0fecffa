"""`python -m chrion_operator` runs the operator until it is told to end."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import fields

from chrion_operator.errors import InvalidSetting
from chrion_operator.logs import log_to_stderr
from chrion_operator.operator import Operator
from chrion_operator.process import run
from chrion_operator.settings import VERSION, Settings

DESCRIPTION = """Runs Chrion's operator until SIGTERM: plans and serves the ChrionModels of the cluster it runs in, or
else of the kubeconfig's. It is configured by environment variables:"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; 1 where it cannot start, 2 for an argument or a setting that cannot be used."""
    _parser().parse_args(arguments)
    try:
        settings = Settings.from_environment()
    except InvalidSetting as error:
        print(error, file=sys.stderr)
        return 2
    log_to_stderr(settings)
    try:
        return asyncio.run(run(Operator(settings), settings.health_port))
    except OSError as error:
        print(f"CHRION_HEALTH_PORT: cannot listen on port {settings.health_port}: {error.strerror}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    variables = "\n".join(f"  CHRION_{field.name.upper()}" for field in fields(Settings))
    parser = argparse.ArgumentParser(
        prog="python -m chrion_operator",
        description=f"{DESCRIPTION}\n\n{variables}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=VERSION)
    return parser


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    # Threads that watch are still there. One that holds stderr while the interpreter goes has it abort.
    os._exit(code)
