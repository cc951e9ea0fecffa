"""Pod: what the pods of planners and runtimes have in common."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from chrion_api import ChrionModelSpec, InvalidField
from chrion_api.handover import FETCH_CREDENTIALS
from chrion_operator.manifests.resources import as_text, without_gpu
from chrion_operator.manifests.server import Server
from chrion_operator.manifests.source import FOLDER, VOLUME, source
from chrion_operator.manifests.template import merge
from chrion_operator.names import Object
from chrion_operator.nodes import NodeClass
from chrion_operator.nodes.placement import gpu_tolerations
from chrion_operator.settings import Settings

USER = 65532
"""The user and group of every container; no image has another."""

MODEL_FILE = "/model/model.onnx"

SCRATCH = {"model": "/model", "tmp": "/tmp", "cache": "/cache"}  # noqa: S108  a volume of the pod's own
"""Empty folders of a pod that its containers share; everything else is read-only."""


def pod_template(
    component: Literal["planner", "runtime"],
    spec: ChrionModelSpec,
    cls: NodeClass,
    settings: Settings,
    server: Server,
    labels: Mapping[str, str],
    main: Object,
    sha256: str | None,
    volumes: Sequence[Object] = (),
    pod: Mapping[str, Any] | None = None,
) -> Object:
    """A pod that fetches the model and then runs its main container, with the spec's options and templates.

    Raises InvalidField for a template or a URI that cannot be used here.
    """
    options = spec.planner if component == "planner" else spec.runtime
    where = source(spec.model.uri, server)
    fetch = _fetch(spec, settings, main, where.uri, sha256, mounted=where.volume is not None)
    generated = {
        "metadata": {"annotations": {"kubectl.kubernetes.io/default-container": main["name"]}},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "nodeSelector": {**spec.runtime.node_selector, **options.node_selector},
            "tolerations": _tolerations(component, spec, cls),
            "initContainers": [fetch],
            "containers": [main],
            "volumes": [
                *({"name": name, "emptyDir": _limits(name, settings)} for name in SCRATCH),
                *([where.volume] if where.volume else ()),
                *volumes,
            ],
            **(pod or {}),
        },
    }
    template = merge(generated, _for_pod(settings.pod_template, generated), "CHRION_POD_TEMPLATE")
    at = f"spec.{component}.podTemplate"
    template = merge(template, options.pod_template, at)
    _finish(template["spec"], at)
    template["metadata"]["labels"] = {**template["metadata"].get("labels", {}), **labels}
    template["spec"] = _in_class(template["spec"], cls)
    return template


def container(name: str, args: Sequence[str], image: str, settings: Settings, resources: Object) -> Object:
    """A restricted container that runs `chrion` and can write to the pod's scratch folders alone."""
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": ["chrion"],
        "args": [*args],
        "env": [{"name": "HOME", "value": SCRATCH["tmp"]}, {"name": "CHRION_CACHE", "value": SCRATCH["cache"]}],
        "resources": resources,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in SCRATCH.items()],
    }


def _fetch(
    spec: ChrionModelSpec, settings: Settings, main: Object, uri: str, sha256: str | None, mounted: bool
) -> Object:
    """The init container that fetches the model: the only one that gets the credentials."""
    args = ["fetch", uri, "--output", MODEL_FILE, "--max-bytes", str(settings.max_model_bytes)]
    if sha256 is not None:
        args += ["--sha256", sha256]
    for host in settings.fetch_allow:
        args += ["--allow", host]
    fetch = container("fetch", args, main["image"], settings, without_gpu(main["resources"], spec))
    if spec.model.secret_ref is not None:
        fetch["env"] += [_from_secret(key, spec.model.secret_ref.name) for key in FETCH_CREDENTIALS]
    if mounted:
        fetch["volumeMounts"].append({"name": VOLUME, "mountPath": FOLDER, "readOnly": True})
    return fetch


def _from_secret(key: str, secret: str) -> Object:
    """One key of a Secret, if it has it; with all its keys as they are a Secret could set LD_PRELOAD, say."""
    return {"name": key, "valueFrom": {"secretKeyRef": {"name": secret, "key": key, "optional": True}}}


def _limits(name: str, settings: Settings) -> Object:
    return {"sizeLimit": str(settings.max_model_bytes)} if name == "model" else {}


def _tolerations(component: str, spec: ChrionModelSpec, cls: NodeClass) -> list[Object]:
    """The runtime's, for planners too, which must reach the same nodes; and of GPU nodes' own taint."""
    given = [*spec.runtime.tolerations, *(spec.planner.tolerations if component == "planner" else ())]
    return [*given, *(gpu_tolerations(spec.devices.gpu_resource) if cls.gpu else ())]


def _for_pod(template: Mapping[str, Any], generated: Object) -> Mapping[str, Any]:
    """The operator's own template without containers that this pod has not, such as the planner's in a runtime."""
    pod = template.get("spec")
    if not isinstance(pod, dict):
        return template
    kept = dict(pod)
    for kind in ("initContainers", "containers"):
        if isinstance(pod.get(kind), list):
            here = {entry["name"] for entry in generated["spec"][kind]}
            kept[kind] = [
                entry
                for entry in pod[kind]
                if not isinstance(entry, dict) or "image" in entry or entry.get("name") in here
            ]
    return {**template, "spec": kept}


def _finish(pod: Object, at: str) -> None:
    """Check that every container can run, and write its resources as Kubernetes does. Raises InvalidField."""
    for kind in ("initContainers", "containers"):
        for entry in pod.get(kind, ()):
            if "image" not in entry:
                known = ", ".join(other["name"] for other in pod[kind] if "image" in other)
                raise InvalidField(f"{at}.spec.{kind}", f'"{entry["name"]}" needs an image: it is not one of {known}')
            entry["resources"] = as_text(entry.get("resources", {}))


def _in_class(pod: Object, cls: NodeClass) -> Object:
    """The pod with the class's requirements in each alternative of its node affinity, whoever wrote that."""
    if not cls.requirements:
        return pod
    ours = [requirement.to_data() for requirement in cls.requirements]
    affinity = pod.get("affinity") or {}
    nodes = affinity.get("nodeAffinity") or {}
    required = nodes.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms = required.get("nodeSelectorTerms") or [{}]
    terms = [{**term, "matchExpressions": [*(term.get("matchExpressions") or ()), *ours]} for term in terms]
    required = {**required, "nodeSelectorTerms": terms}
    nodes = {**nodes, "requiredDuringSchedulingIgnoredDuringExecution": required}
    return {**pod, "affinity": {**affinity, "nodeAffinity": nodes}}
