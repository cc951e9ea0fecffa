"""By what way a request came, as traces and lines of the log call it."""

from collections.abc import Mapping
from dataclasses import dataclass

_PATH = "/v2/models/{model}/infer"


@dataclass(frozen=True)
class Route:
    """A way in, named as OpenTelemetry's conventions have it (https://opentelemetry.io/docs/specs/semconv/)."""

    name: str
    """What a span of it is called; {model} stands for any."""
    attributes: Mapping[str, str]
    status: str | None
    """The attribute that holds the HTTP status; None where there is none."""


HTTP = Route(f"POST {_PATH}", {"http.request.method": "POST", "http.route": _PATH}, "http.response.status_code")


def _grpc(method: str) -> Route:
    service = "inference.GRPCInferenceService"
    return Route(f"{service}/{method}", {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}, None)


GRPC, STREAM = _grpc("ModelInfer"), _grpc("ModelStreamInfer")
