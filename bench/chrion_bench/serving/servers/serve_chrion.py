"""Chrion, as `chrion serve` runs it; options as `name=value`, and `slo=20ms`."""

import sys
from pathlib import Path

from chrion_api import SLO
from chrion_bench.serving.models import MODELS, write
from chrion_bench.serving.plans import session
from chrion_runtime.server import ServerOptions, serve


def main() -> None:
    """Serve on a port, with metrics on another."""
    port, folder, *rest = sys.argv[1:]
    options = dict(word.split("=", 1) for word in rest if "=" in word)
    latency = options.pop("slo", None)
    slo = SLO.parse({"latency": latency}, "slo") if latency else None
    sessions = [session(MODELS[name], write(MODELS[name], Path(folder)), slo) for name in rest if "=" not in name]
    chosen = {name: type(getattr(ServerOptions(), name))(value) for name, value in options.items()}
    serve(sessions, ServerOptions(port=int(port), metrics_port=0, **chosen))


if __name__ == "__main__":
    main()
