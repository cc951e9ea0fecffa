"""Exchange plans under load: failed requests, and the worst response against before.

`python -m chrion_bench.serving.switch`. `chrion serve`, alone on its core, answers an open loop of 200 requests a
second while the plan file that is mounted is swapped every few seconds between two plans that share no session: the
whole model as one stage as it is, and its halves optimised. Latency counts from when a request was due. Stretches
with and without swaps take turns on the same server, for the machine itself makes a response wait now and then.
"""

import argparse
import json
import sys
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from chrion import cache
from chrion_api import Frontier, Plan, PlanFile, Stage
from chrion_bench.serving.client import Job
from chrion_bench.serving.contenders import SERVERS
from chrion_bench.serving.models import HOPS, MID, ServedModel, write
from chrion_bench.serving.process import Data, Program, Server, check, once, running
from chrion_bench.serving.throughput import CLIENT_CORES, SERVER_CORES, prepared, wanted
from chrion_bench.workplace import workplace
from chrion_graph.graph import Graph
from chrion_graph.limits import Limits
from chrion_runtime.devices import open_devices
from chrion_runtime.engines import key_of

RATE = 200.0
MOST_MORE_SECONDS = 0.05
"""What the worst response may take more than without a swap."""
MODELS = (MID, HOPS)
PLAN = "plan.json"


class Mount:
    """A folder with the plan file, swapped as the kubelet swaps a ConfigMap: by one link."""

    def __init__(self, folder: Path, files: Sequence[PlanFile]) -> None:
        folder.mkdir()
        self.path = folder / PLAN
        self._folder = folder
        self._files = files
        self._swaps = 0
        self.swap()
        self.path.symlink_to(Path("..data") / PLAN)

    def swap(self) -> None:
        """Mount the next of the files."""
        target = self._folder / f"..{self._swaps}"
        target.mkdir()
        (target / PLAN).write_text(self._files[self._swaps % len(self._files)].to_json(), encoding="utf-8")
        aside = self._folder / "..data_tmp"
        aside.symlink_to(target.name)
        aside.replace(self._folder / "..data")
        self._swaps += 1


def switch(model: ServedModel, folder: Path, rounds: int, seconds: float, every: float) -> Data:
    """Stretches of `seconds` without swaps and with one `every` so many seconds. Raises ServerFailed."""
    mount = Mount(folder / f"{model.name}-mount", _plans(model, write(model, folder)))
    file, request = prepared(model, "binary", folder)
    program = Program("chrion serve", Path(sys.executable), SERVERS / "serve_command.py", (f"plan={mount.path}",))
    found: Data = {"model": model.name, "rate": RATE, "still": [], "swapped": []}
    with running(program, [model], folder, SERVER_CORES) as server:
        answer = wanted(model, folder)
        check(server, model, request, answer)
        job = Job(server.port, (file,), seconds, RATE, connections=64)
        for _ in range(rounds):
            found["still"] += once(job, CLIENT_CORES)
            with _swapping(mount, every):
                found["swapped"] += once(job, CLIENT_CORES)
            check(server, model, request, answer)
        said = _plan(server, model)
    found["moves"], found["refusals"] = len(said["moves"]), len(said["refusals"])
    return found


def failed(stretches: Sequence[Data]) -> int:
    """Requests that were not answered with 200."""
    return sum(one["sent"] - one["answers"].get("200", {"count": 0})["count"] for one in stretches)


def worst(stretches: Sequence[Data]) -> float:
    """The longest response in seconds."""
    return max(float(one["answers"]["200"]["max"]) for one in stretches)


def summary(found: Data) -> str:
    """One line."""
    still, swapped = found["still"], found["swapped"]
    more = worst(swapped) - worst(still)
    requests = sum(one["sent"] for one in swapped)
    p99 = [max(one["answers"]["200"]["p99"] for one in stretches) * 1e3 for stretches in (swapped, still)]
    held = not failed(swapped) and more <= MOST_MORE_SECONDS
    verdict = "within the target" if held else "MISSES the target"
    return (
        f"{found['model']}: {found['moves']} exchanges ({found['refusals']} refused) in {requests} requests at "
        f"{found['rate']:g}/s: {failed(swapped)} failed; worst {worst(swapped) * 1e3:.1f} ms, without "
        f"{worst(still) * 1e3:.1f} ms (p99 {p99[0]:.1f} and {p99[1]:.1f} ms): {verdict}"
    )


@contextmanager
def _swapping(mount: Mount, every: float) -> Iterator[None]:
    stop = threading.Event()

    def swap() -> None:
        while not stop.wait(every):
            mount.swap()

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _plans(model: ServedModel, path: Path) -> tuple[PlanFile, PlanFile]:
    normalised = cache.normalised(path, Limits())
    graph = Graph.load(normalised.folder)
    devices = {name: key_of(device) for name, device in open_devices(("cpu",)).items()}
    # The server has but one core, and says so.
    devices = {name: key.model_copy(update={"cores": len(SERVER_CORES)}) for name, key in devices.items()}

    def file(name: str, stages: tuple[Stage, ...]) -> PlanFile:
        plan = Plan(name=name, graph=graph.digest, stages=stages, predicted_seconds=1e-3)
        frontier = Frontier(inputs={model.input: model.shape}, plans=(plan,))
        return PlanFile(model=normalised.digest, devices=devices, buckets=(frontier,))

    nodes = tuple(range(len(graph.nodes)))
    half = len(nodes) // 2
    halves = tuple(
        Stage(nodes=part, lanes=("cpu/0",), options={"optimization": "All"}, start_seconds=place)
        for place, part in enumerate(part for part in (nodes[:half], nodes[half:]) if part)
    )
    return file("whole", (Stage(nodes=nodes, lanes=("cpu/0",)),)), file("halves", halves)


def _plan(server: Server, model: ServedModel) -> Data:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/v2/models/{model.name}/plan", timeout=30) as answer:
        found: Data = json.load(answer)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure each model, print a line for it; 1 where the target is missed."""
    parser = argparse.ArgumentParser(prog="python -m chrion_bench.serving.switch", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each stretch")
    parser.add_argument("--every", type=float, default=3.0, help="seconds from one swap to the next")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    options = parser.parse_args(arguments)
    found = []
    with workplace() as folder:
        for model in MODELS:
            found.append(switch(model, folder, options.rounds, options.seconds, options.every))
            print(summary(found[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return int(any("MISSES" in summary(one) for one in found))


if __name__ == "__main__":
    sys.exit(main())
