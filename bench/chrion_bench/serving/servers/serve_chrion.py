"""Chrion, as `chrion serve` runs it; options as `name=value`, and `slo=20ms`.

`isolate=model` gives each model a process of its own. `beside=PATH` starts a process that does nothing but keep a core
busy, and writes its id there. It is stopped: whoever wants it to run sends it SIGCONT.
"""

import subprocess
import sys
from functools import partial
from pathlib import Path

from chrion_api import SLO
from chrion_bench.serving.plans import opened
from chrion_runtime.isolation import Group
from chrion_runtime.run.machine import Machine
from chrion_runtime.servable import Servable
from chrion_runtime.serve.lifecycle import serve
from chrion_runtime.serve.options import ServerOptions

BUSY = "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\nwhile True: pass"


def main() -> None:
    """Serve on a port, with metrics on another."""
    port, folder, *rest = sys.argv[1:]
    options = dict(word.split("=", 1) for word in rest if "=" in word)
    latency, isolate, beside = (options.pop(name, None) for name in ("slo", "isolate", "beside"))
    slo = SLO.parse({"latency": latency}, "slo") if latency else None
    names = [name for name in rest if "=" not in name]
    openings = {name: partial(opened, name, Path(folder), slo) for name in names}
    if isolate == "model":
        served: list[Servable] = [Group(name).open([(name, opening)])[0] for name, opening in openings.items()]
    else:
        machine = Machine() if len(names) > 1 else None
        served = [opening(machine) for opening in openings.values()]
    chosen = {name: type(getattr(ServerOptions(), name))(value) for name, value in options.items()}
    if beside is not None:
        # Started here, so that the kernel gives it a share of the core as it does a thread of the server: what belongs
        # to another session is scheduled as another group.
        busy = subprocess.Popen([sys.executable, "-c", BUSY])
        Path(beside).write_text(str(busy.pid), encoding="ascii")
    serve(served, ServerOptions(port=int(port), metrics_port=0, **chosen))


if __name__ == "__main__":
    main()
