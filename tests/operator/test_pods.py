"""Pods of planners and runtimes: restricted, in their class, and with what the spec says merged in."""

from typing import Any

import pytest

from chrion_api import InvalidField
from chrion_api.handover import FETCH_CREDENTIALS
from chrion_operator.manifests import Server, deployment, planner_job
from chrion_operator.nodes import NodeClass, node_classes
from chrion_operator.settings import Settings
from tests.support.objects import MODEL_DIGEST, node, owner, spec

CPU = NodeClass("cpu-amd64", gpu=False, nodes=2, slots=2)
GPU = NodeClass("tesla-t4-15g", gpu=True, nodes=1, slots=1)
REVISION = "0123456789"
SERVER = Server(minor=33)


def job(cls: NodeClass = CPU, settings: Settings | None = None, server: Server = SERVER, **fields: Any) -> Any:
    return planner_job(owner(), spec(**fields), cls, REVISION, settings or Settings(), server)


def served(
    cls: NodeClass = CPU,
    settings: Settings | None = None,
    server: Server = SERVER,
    replicas: int = 1,
    stuck: bool = False,
    **fields: Any,
) -> Any:
    return deployment(
        owner(), spec(**fields), cls, REVISION, replicas, MODEL_DIGEST, settings or Settings(), server, stuck
    )


def pods(**fields: Any) -> list[Any]:
    return [make(**fields)["spec"]["template"]["spec"] for make in (job, served)]


def named(entries: list[Any]) -> dict[str, Any]:
    return {entry["name"]: entry for entry in entries}


def containers(pod: Any) -> dict[str, Any]:
    return named([*pod["initContainers"], *pod["containers"]])


@pytest.mark.parametrize("cls", [CPU, GPU])
def test_every_container_is_restricted(cls: NodeClass) -> None:
    # https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
    for pod in pods(cls=cls):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        assert not any("hostPath" in volume for volume in pod["volumes"])
        for container in containers(pod).values():
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}


def test_the_token_is_in_the_planner_alone() -> None:
    planner, runtime = pods()
    assert planner["automountServiceAccountToken"] is runtime["automountServiceAccountToken"] is False
    with_token = [
        container["name"]
        for pod in (planner, runtime)
        for container in containers(pod).values()
        if any(mount["name"] == "token" for mount in container["volumeMounts"])
    ]
    assert with_token == ["plan"]
    assert "serviceAccountName" not in runtime


def test_the_credentials_are_in_the_fetcher_alone() -> None:
    model = {"uri": "s3://models/nsnet2.onnx", "secretRef": {"name": "s3"}}
    for pod in pods(model=model):
        for name, container in containers(pod).items():
            given = {entry["name"]: entry["valueFrom"] for entry in container["env"] if "valueFrom" in entry}
            assert set(given) == (set(FETCH_CREDENTIALS) if name == "fetch" else set())
            assert all(value["secretKeyRef"]["name"] == "s3" for value in given.values())
            assert "envFrom" not in container


def test_every_mount_has_its_volume() -> None:
    for pod in pods():
        volumes = set(named(pod["volumes"]))
        for container in containers(pod).values():
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            assert not any("subPath" in mount for mount in container["volumeMounts"])


def test_the_runtime_loads_the_model_of_its_plan_alone() -> None:
    fetch = containers(served()["spec"]["template"]["spec"])["fetch"]
    assert fetch["args"][fetch["args"].index("--sha256") + 1] == MODEL_DIGEST
    assert "--sha256" not in containers(job()["spec"]["template"]["spec"])["fetch"]["args"]
    pinned = job(model={"uri": "https://a/b.onnx", "sha256": "c" * 64})
    assert "c" * 64 in containers(pinned["spec"]["template"]["spec"])["fetch"]["args"]


@pytest.mark.parametrize(
    ("uri", "fetched", "volume"),
    [
        ("https://a.b/c.onnx", "https://a.b/c.onnx", None),
        ("hf://a/b/onnx/c.onnx@v1", "hf://a/b/onnx/c.onnx@v1", None),
        ("file:///models/a.onnx", "file:///models/a.onnx", None),
        (
            "pvc://claim/a/b.onnx",
            "file:///source/a/b.onnx",
            {"persistentVolumeClaim": {"claimName": "claim", "readOnly": True}},
        ),
        ("configmap://tiny/m.onnx", "file:///source/m.onnx", {"configMap": {"name": "tiny"}}),
        (
            "oci://ghcr.io/a/b:1#models/m.onnx",
            "file:///source/models/m.onnx",
            {"image": {"reference": "ghcr.io/a/b:1", "pullPolicy": "IfNotPresent"}},
        ),
    ],
)
def test_what_can_be_mounted_is_mounted_for_the_fetcher(uri: str, fetched: str, volume: Any) -> None:
    for pod in pods(model={"uri": uri}):
        assert containers(pod)["fetch"]["args"][1] == fetched
        source = named(pod["volumes"]).get("source")
        assert source == (None if volume is None else {"name": "source", **volume})
        for name, container in containers(pod).items():
            mounted = any(mount["name"] == "source" and mount["readOnly"] for mount in container["volumeMounts"][3:])
            assert mounted == (name == "fetch" and volume is not None)


@pytest.mark.parametrize(
    "uri", ["pvc://claim", "pvc:///a", "configmap://c/", "oci://a/b:1", "file://a", "pvc://claim/../../etc/passwd"]
)
def test_a_uri_that_leads_nowhere_is_named(uri: str) -> None:
    with pytest.raises(InvalidField, match=r"^spec\.model\.uri: "):
        job(model={"uri": uri})


def test_image_volumes_need_a_server_that_has_them() -> None:
    with pytest.raises(InvalidField, match=r"^spec\.model\.uri: oci:// needs Kubernetes 1\.31"):
        job(server=Server(minor=30), model={"uri": "oci://a/b:1#m.onnx"})


def test_the_fetcher_is_told_its_limits() -> None:
    settings = Settings(fetch_allow=("minio.audio.svc", "10.0.0.0/8"), max_model_bytes=1000)
    for pod in pods(settings=settings):
        args = containers(pod)["fetch"]["args"]
        assert args[args.index("--max-bytes") + 1] == "1000"
        assert [args[at + 1] for at, arg in enumerate(args) if arg == "--allow"] == [*settings.fetch_allow]
        assert named(pod["volumes"])["model"] == {"name": "model", "emptyDir": {"sizeLimit": "1000"}}


def test_pods_go_to_their_class_whatever_affinity_the_template_has() -> None:
    (cls,) = node_classes(spec(), [node(**{"kubernetes.io_arch": "amd64"})], Settings())
    wanted = {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]}
    zones = [{"key": "zone", "operator": "In", "values": [zone]} for zone in "ab"]
    terms = [{"matchExpressions": [zone]} for zone in zones]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    template = {"spec": {"affinity": {"nodeAffinity": required, "podAntiAffinity": {"a": "b"}}}}
    for pod in pods(cls=cls, runtime={"podTemplate": template}, planner={"podTemplate": template}):
        found = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        assert [term["matchExpressions"][0] for term in found] == zones
        assert all(wanted in term["matchExpressions"] for term in found)
        assert pod["affinity"]["podAntiAffinity"] == {"a": "b"}


def test_gpu_pods_ask_for_the_resource_and_others_never_do() -> None:
    for pod in pods(cls=GPU):
        main, fetch = pod["containers"][0], pod["initContainers"][0]
        assert main["resources"]["limits"]["nvidia.com/gpu"] == "1"
        assert "nvidia.com/gpu" not in fetch["resources"]["limits"]
        assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in pod["tolerations"]
        assert "-cuda:" in main["image"]
        assert "-cuda:" in fetch["image"]
    for pod in pods(cls=CPU, runtime={"resources": {"limits": {"nvidia.com/gpu": 1}}}):
        assert "nvidia.com/gpu" not in str(pod["containers"][0]["resources"])


@pytest.mark.parametrize(
    ("fields", "limit", "request_"),
    [
        ({}, "1", "1"),
        ({"devices": {"cpuLanes": 3}}, "3", "3"),
        ({"runtime": {"resources": {"limits": {"cpu": "4"}}}}, "4", "4"),
        ({"runtime": {"resources": {"requests": {"cpu": "2"}}}}, "2", "2"),
        ({"runtime": {"resources": {"limits": {"cpu": "4"}, "requests": {"cpu": "1"}}}}, "4", "1"),
    ],
)
def test_replica_and_planner_have_a_cpu_limit_and_ask_for_as_much(
    fields: dict[str, Any], limit: str, request_: str
) -> None:
    for pod in pods(**fields):
        for container in containers(pod).values():
            assert container["resources"]["limits"]["cpu"] == limit
            assert container["resources"]["requests"]["cpu"] == request_
            assert container["resources"]["requests"]["memory"] == "1Gi"


def test_the_planner_may_have_resources_of_its_own() -> None:
    planner, runtime = pods(
        runtime={"resources": {"limits": {"cpu": "2", "memory": "1Gi"}}},
        planner={"resources": {"requests": {"memory": "4Gi"}}},
    )
    assert runtime["containers"][0]["resources"] == {
        "limits": {"cpu": "2", "memory": "1Gi"},
        "requests": {"cpu": "2"},
    }
    assert planner["containers"][0]["resources"] == {"limits": {"cpu": "2"}, "requests": {"cpu": "2", "memory": "4Gi"}}


def test_the_planner_reaches_the_nodes_of_the_runtime() -> None:
    toleration = {"key": "a", "operator": "Exists"}
    planner, runtime = pods(
        runtime={"nodeSelector": {"pool": "x"}, "tolerations": [toleration]},
        planner={"nodeSelector": {"disk": "ssd"}, "tolerations": [{"key": "b", "operator": "Exists"}]},
    )
    assert runtime["nodeSelector"] == {"pool": "x"}
    assert planner["nodeSelector"] == {"pool": "x", "disk": "ssd"}
    assert toleration in planner["tolerations"]
    assert len(planner["tolerations"]) == 2


def test_pod_templates_are_merged_the_operators_below_the_specs() -> None:
    settings = Settings(
        pod_template={
            "metadata": {"annotations": {"team": "platform", "cost": "1"}},
            "spec": {
                "priorityClassName": "low",
                "containers": [{"name": name, "env": [{"name": "PROXY", "value": "a"}]} for name in ("plan", "serve")],
                "initContainers": [{"name": "fetch", "env": [{"name": "PROXY", "value": "a"}]}],
            },
        }
    )
    template = {
        "metadata": {"annotations": {"team": "audio"}, "labels": {"a": "b", "app.kubernetes.io/component": "no"}},
        "spec": {
            "containers": [
                {"name": "serve", "env": [{"name": "PROXY", "value": "b"}]},
                {"name": "proxy", "image": "envoy"},
            ]
        },
    }
    made = served(settings=settings, runtime={"podTemplate": template})["spec"]
    annotations, labels = made["template"]["metadata"]["annotations"], made["template"]["metadata"]["labels"]
    assert (annotations["team"], annotations["cost"]) == ("audio", "1")
    assert labels["a"] == "b"
    assert made["selector"]["matchLabels"].items() <= labels.items()
    pod = made["template"]["spec"]
    assert pod["priorityClassName"] == "low"
    assert [container["name"] for container in pod["containers"]] == ["serve", "proxy"]
    assert named(pod["containers"][0]["env"])["PROXY"]["value"] == "b"
    assert named(pod["initContainers"][0]["env"])["PROXY"]["value"] == "a"


def test_tolerations_of_a_template_are_added() -> None:
    toleration = {"key": "a", "operator": "Exists"}
    template = {"spec": {"tolerations": [toleration]}}
    for pod in pods(cls=GPU, runtime={"podTemplate": template}, planner={"podTemplate": template}):
        assert toleration in pod["tolerations"]
        assert len(pod["tolerations"]) == 2


def test_a_template_that_names_no_container_of_the_pod_is_refused() -> None:
    with pytest.raises(InvalidField, match=r'^spec\.runtime\.podTemplate\.spec\.containers: "server" needs an image'):
        served(runtime={"podTemplate": {"spec": {"containers": [{"name": "server", "tty": True}]}}})


def test_a_template_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidField, match=r"^spec\.planner\.podTemplate\.spec\.volumes: \{\}: expected a list"):
        job(planner={"podTemplate": {"spec": {"volumes": {}}}})
