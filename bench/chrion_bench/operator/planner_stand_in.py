"""Stands for the planners' Jobs where no node runs them: `planner_stand_in PLAN.json NAMESPACE…`.

Fills each plan ConfigMap that the operator makes, in the one patch that a planner sends.
"""

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from chrion_api.handover import PLAN_KEY, PLANNED_ANNOTATION, REVISION_ANNOTATION
from tests.support.cluster import Cluster

AT_ONCE = 4


def main(plan: Path, namespaces: Sequence[str]) -> None:
    """Fill ConfigMaps until it is ended."""
    text = plan.read_text(encoding="utf-8")
    cluster = Cluster(Path(os.environ["KUBECONFIG"]), None)

    def fill(namespace: str, name: str, revision: str) -> None:
        annotations = {PLANNED_ANNOTATION: revision}
        cluster.patch(
            "ConfigMap", name, namespace, {"metadata": {"annotations": annotations}, "data": {PLAN_KEY: text}}
        )

    def watch(namespace: str) -> None:
        # Each has its own, so that a crowd keeps no neighbour waiting here.
        pool = ThreadPoolExecutor(AT_ONCE)
        while True:
            for event in cluster.events("ConfigMap", namespace, "app.kubernetes.io/component=plan"):
                metadata = event["raw_object"]["metadata"]
                annotations = metadata.get("annotations") or {}
                wanted = annotations.get(REVISION_ANNOTATION)
                if event["type"] != "DELETED" and wanted and annotations.get(PLANNED_ANNOTATION) != wanted:
                    pool.submit(fill, namespace, metadata["name"], wanted)

    with ThreadPoolExecutor(len(namespaces)) as watches:
        for done in [watches.submit(watch, namespace) for namespace in namespaces]:
            done.result()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
