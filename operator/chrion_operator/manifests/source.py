"""Source: where a pod's fetcher finds the model, and the volume that must be mounted for it."""

from dataclasses import dataclass

from chrion_api import InvalidField
from chrion_operator.manifests.server import Server
from chrion_operator.names import Object

FOLDER = "/source"
VOLUME = "source"


@dataclass(frozen=True)
class PodSource:
    """The URI to fetch from inside the pod, and the volume behind it where there is one."""

    uri: str
    volume: Object | None = None


def source(uri: str, server: Server) -> PodSource:
    """The source of a model's URI.

    Claims, ConfigMaps and OCI images are mounted, and the fetcher copies from there. Raises InvalidField for what this
    server has not; the form of a URI is checked before.
    """
    scheme, _, rest = uri.partition("://")
    if scheme == "file" and not rest.startswith("/"):
        raise InvalidField(
            "spec.model.uri", f'"{uri}": in a cluster, file:// must be an absolute path inside the image'
        )
    if scheme not in ("pvc", "configmap", "oci"):
        return PodSource(uri)
    name, _, path = rest.partition("#" if scheme == "oci" else "/")
    if scheme == "pvc":
        volume = {"persistentVolumeClaim": {"claimName": name, "readOnly": True}}
    elif scheme == "configmap":
        volume = {"configMap": {"name": name}}
    else:
        if not server.has_image_volumes:
            problem = f"oci:// needs Kubernetes 1.31 or later for image volumes; this server is 1.{server.minor}"
            raise InvalidField("spec.model.uri", problem)
        volume = {"image": {"reference": name, "pullPolicy": "IfNotPresent"}}
    return PodSource(f"file://{FOLDER}/{path.lstrip('/')}", {"name": VOLUME, **volume})
