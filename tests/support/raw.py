"""Requests to an API server with a body as it is: what no client would write."""

from urllib3 import BaseHTTPResponse

from chrion_operator.cluster.kinds import MODEL
from tests.support.cluster import Cluster


def create_model(cluster: Cluster, namespace: str, text: str) -> int:
    """Create a ChrionModel from its JSON; the status of the answer."""
    client = cluster.api_client
    headers = {"Content-Type": "application/json"}
    client.update_params_for_auth(headers, [], ["BearerToken"], None, "POST", None)
    answer: BaseHTTPResponse = client.rest_client.pool_manager.request(
        "POST", client.configuration.host + MODEL.path(namespace), body=text.encode(), headers=headers
    )
    return int(answer.status)
