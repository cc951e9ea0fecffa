"""One model after another of a namespace, while many of another namespace queue: how long until each is reconciled."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from chrion_bench.operator.many import Say, planners, reconcile
from chrion_bench.operator.place import chrion_model, cluster, condition, namespace, operator, watched
from tests.support.cluster import Cluster, Object

CROWD, NEIGHBOUR = "crowd", "neighbour"
MOST_SECONDS = 120.0
PAUSE_SECONDS = 0.5


def tenants(count: int, say: Say) -> dict[str, Any]:
    """Apply `count` models to one namespace and, until all of them are reconciled, single ones to another."""
    where = cluster()
    with (
        namespace(where, CROWD),
        namespace(where, NEIGHBOUR),
        operator(where, {}),
        planners(CROWD, NEIGHBOUR),
        ThreadPoolExecutor(1) as pool,
    ):
        crowd = pool.submit(reconcile, where, CROWD, count, say)
        seconds = _one_by_one(where, crowd)
        began, _, reconciled = crowd.result()
    say(f"{len(seconds)} single models meanwhile, the slowest within {max(seconds):.1f} s")
    return {"models": count, "crowdSeconds": max(reconciled.values()) - began, "seconds": sorted(seconds)}


def _one_by_one(where: Cluster, crowd: Future[Any]) -> list[float]:
    """Seconds from applying each single model to its being reconciled, of those that were so before the crowd was."""
    taken: list[float] = []
    planned: dict[str, threading.Event] = {}

    def seen(model: Object) -> None:
        done = planned.get(model["metadata"]["name"])
        if done is not None and condition(model, "Planned").get("status") == "True":
            done.set()

    spec = {"model": {"uri": "https://models.example.com/model.onnx"}}
    with watched(where, "ChrionModel", NEIGHBOUR, seen):
        while not crowd.done():
            name = f"single-{len(taken):04}"
            done = planned[name] = threading.Event()
            began = time.monotonic()
            where.create_or_merge(chrion_model(name, NEIGHBOUR, spec))
            if not done.wait(MOST_SECONDS):
                raise TimeoutError(f"{name} was not reconciled in {MOST_SECONDS:.0f} s")
            if crowd.done():
                break
            taken.append(time.monotonic() - began)
            time.sleep(PAUSE_SECONDS)
    return taken
