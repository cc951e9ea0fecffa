"""More than one request at a time: pipelining over two lanes, and dynamic batching."""

from collections.abc import Callable
from pathlib import Path

from chrion_bench.serving.client import Job
from chrion_bench.serving.contenders import chrion
from chrion_bench.serving.models import BATCHED, CHAIN
from chrion_bench.serving.process import Data, check, load, running
from chrion_bench.serving.throughput import CLIENT_CORES, CLIENTS, SERVER_CORES, prepared, wanted

BATCH = 8
CORES = {0, 1}


def pipelining(folder: Path, seconds: float, say: Callable[[str], None]) -> Data:
    """A chain of two stages on two lanes: requests a second one at a time, and two at a time."""
    found: Data = {}
    with running(chrion(), [CHAIN], folder, CORES) as server:
        path, content = prepared(CHAIN, "binary", folder)
        check(server, CHAIN, content, wanted(CHAIN, folder))
        for clients in (1, 2, 4):
            (count,) = load(server, Job(server.port, (path,), seconds, connections=clients), CORES)
            found[str(clients)] = count["answers"]["200"]["count"] / count["seconds"]
    found["gain"] = max(found["2"], found["4"]) / found["1"]
    say(f"two lanes in a chain: {found['1']:,.0f}/s one at a time, ×{found['gain']:.2f} with more at once")
    return found


def batching(folder: Path, seconds: float, say: Callable[[str], None]) -> Data:
    """Requests a second with and without batching, with 8 clients."""
    found: Data = {}
    for name, options in (("off", ()), ("on", (f"batch={BATCH}",))):
        with running(chrion(*options), [BATCHED], folder, SERVER_CORES) as server:
            path, content = prepared(BATCHED, "binary", folder)
            (count,) = load(server, Job(server.port, (path,), seconds, connections=CLIENTS), CLIENT_CORES)
            check(server, BATCHED, content, wanted(BATCHED, folder))
            answers = count["answers"]["200"]
            found[name] = {"perSecond": answers["count"] / count["seconds"], "p99": answers["p99"]}
    found["gain"] = found["on"]["perSecond"] / found["off"]["perSecond"]
    say(f"batches of up to {BATCH}: ×{found['gain']:.2f} requests a second, 8 clients")
    return found
