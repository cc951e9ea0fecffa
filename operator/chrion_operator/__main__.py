"""`python -m chrion_operator` runs the operator until it is told to end."""

import logging
import sys

import kopf

from chrion_operator.errors import InvalidSetting
from chrion_operator.handlers import register
from chrion_operator.operator import Operator
from chrion_operator.settings import Settings


def main() -> int:
    """Run until SIGTERM or SIGINT; 2 for a setting that cannot be used."""
    try:
        settings = Settings.from_environment()
    except InvalidSetting as error:
        print(error, file=sys.stderr)
        return 2
    log_to_stderr(settings)
    kopf.run(
        registry=register(Operator(settings)),
        standalone=True,
        clusterwide=not settings.namespaces,
        namespaces=settings.namespaces,
        liveness_endpoint=f"http://0.0.0.0:{settings.health_port}/healthz" if settings.health_port else None,
    )
    return 0


def log_to_stderr(settings: Settings) -> None:
    """Log in the form and from the level that the settings say; kopf itself only what is out of order."""
    debug = settings.log_level == "debug"
    form = kopf.LogFormat.JSON if settings.log_format == "json" else kopf.LogFormat.FULL
    kopf.configure(debug=debug, log_format=form)
    logging.getLogger().setLevel(settings.log_level.upper())
    if not debug:
        for name in ("kopf", "kopf.objects", "aiohttp.access"):
            logging.getLogger(name).setLevel(logging.WARNING)


if __name__ == "__main__":
    sys.exit(main())
