"""What the API server is and has."""

import re

from chrion_operator.cluster.api import Api
from chrion_operator.cluster.errors import ApiNotFound
from chrion_operator.cluster.kinds import (
    DISRUPTION_BUDGET_V1,
    DISRUPTION_BUDGET_V1BETA1,
    OWNED,
    SERVICE_MONITOR,
    Kind,
)
from chrion_operator.manifests import Server


def discover(api: Api) -> Server:
    """Ask the server for its version and for the kinds that not every server has."""
    minor = re.match(r"\d+", str(api.read("/version").get("minor", "")))
    return Server(
        minor=int(minor[0]) if minor else 0,
        has_pdb_v1=_has(api, DISRUPTION_BUDGET_V1),
        has_service_monitor=_has(api, SERVICE_MONITOR),
    )


def owned_kinds(server: Server) -> tuple[Kind, ...]:
    """The kinds of objects that models have on this server."""
    budget = DISRUPTION_BUDGET_V1 if server.has_pdb_v1 else DISRUPTION_BUDGET_V1BETA1
    return (*OWNED, budget, *((SERVICE_MONITOR,) if server.has_service_monitor else ()))


def _has(api: Api, kind: Kind) -> bool:
    try:
        listed = api.read(f"/apis/{kind.api}")
    except ApiNotFound:
        return False
    return any(resource["name"] == kind.plural for resource in listed.get("resources", ()))
