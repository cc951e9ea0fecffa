"""Revision: a short digest of all that a plan depends on and the operator can see."""

from collections.abc import Mapping
from typing import Any

from chrion_api import ChrionModelSpec
from chrion_operator.canonical import digest
from chrion_operator.manifests.resources import lanes
from chrion_operator.names import REPLAN_ANNOTATION
from chrion_operator.nodes import NodeClass
from chrion_operator.settings import Settings


def revision(owner: Mapping[str, Any], spec: ChrionModelSpec, cls: NodeClass, settings: Settings) -> str:
    """10 hex digits: of the spec's fields that plans depend on, the lanes of a replica, the planner and the node class.

    The objective, the mode, replicas and all else of the pods cause no new plan.
    """
    whole = digest(
        {
            **spec.plan_inputs(),
            "lanes": lanes(spec, cls),
            "planner": settings.image("planner", cls.gpu),
            "class": cls.name,
            "replan": (owner["metadata"].get("annotations") or {}).get(REPLAN_ANNOTATION, ""),
        }
    )
    return whole[:10]
