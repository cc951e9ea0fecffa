"""Nodes fall into classes by their hardware, and only those that a pod may go to."""

from typing import Any

import pytest

from chrion_operator.nodes import NodeClass, node_classes
from chrion_operator.settings import Settings
from tests.support.objects import node, spec

GPU = "nvidia.com/gpu"
T4 = {"nvidia.com_gpu.product": "Tesla-T4", "nvidia.com_gpu.memory": "15360"}
A100 = {"nvidia.com_gpu.product": "NVIDIA-A100-SXM4-40GB", "nvidia.com_gpu.memory": "40960"}
AMD64 = {"kubernetes.io_arch": "amd64"}
INTEL = {
    "feature.node.kubernetes.io_cpu-model.vendor_id": "Intel",
    "feature.node.kubernetes.io_cpu-model.family": "6",
    "feature.node.kubernetes.io_cpu-model.id": "143",
}


def classes(nodes: list[dict[str, Any]] | None, settings: Settings | None = None, **fields: Any) -> list[NodeClass]:
    return list(node_classes(spec(**fields), nodes, settings or Settings()))


def summary(found: list[NodeClass]) -> list[tuple[str, bool, int, int]]:
    return [(cls.name, cls.gpu, cls.nodes, cls.slots) for cls in found]


def admits(cls: NodeClass, labels: dict[str, str]) -> bool:
    """Whether node affinity with the class's requirements lets a pod onto a node with these labels."""
    tests = {
        "In": lambda key, values: labels.get(key) in values,
        "DoesNotExist": lambda key, _: key not in labels,
        "Gt": lambda key, values: key in labels and int(labels[key]) > int(values[0]),
        "Lt": lambda key, values: key in labels and int(labels[key]) < int(values[0]),
    }
    return all(tests[one.operator](one.key, one.values) for one in cls.requirements)


def test_gpu_nodes_are_told_apart_by_product_and_processor() -> None:
    nodes = [
        node("a", {GPU: "8"}, **AMD64, **A100, **INTEL),
        node("b", {GPU: "8"}, **AMD64, **A100, **INTEL),
        node("c", {GPU: "1"}, **AMD64, **A100),
        node("d", {GPU: "4"}, **AMD64, **T4),
        node("e", None, **AMD64),
    ]
    assert summary(classes(nodes)) == [
        ("a100-sxm4-40gb-amd64", True, 1, 1),
        ("a100-sxm4-40gb-intel-6-143", True, 2, 16),
        ("tesla-t4-15g-amd64", True, 1, 4),
    ]


def test_each_node_is_admitted_by_its_own_class_alone() -> None:
    nodes = [
        node("a", {GPU: "8"}, **AMD64, **A100, **INTEL),
        node("b", {GPU: "1"}, **AMD64, **A100),
        node("c", {GPU: "4"}, **AMD64, **T4),
        node("d", {GPU: "4"}, **AMD64, **{**T4, "nvidia.com_gpu.replicas": "4"}),
        node("e", {GPU: "1"}, **AMD64, **{**T4, "nvidia.com_gpu.memory": "8192"}),
    ]
    found = classes(nodes)
    assert len(found) == len(nodes)
    for one in nodes:
        assert sum(admits(cls, one["metadata"]["labels"]) for cls in found) == 1


def test_drivers_that_count_memory_a_little_differently_make_no_classes() -> None:
    nodes = [node(str(mib), {GPU: "1"}, **{**T4, "nvidia.com_gpu.memory": str(mib)}) for mib in (15360, 15109, 14910)]
    (cls,) = classes(nodes)
    assert all(admits(cls, one["metadata"]["labels"]) for one in nodes)


@pytest.mark.parametrize(
    ("resource", "labels", "name"),
    [
        (
            "nvidia.com/gpu.shared",
            {
                "nvidia.com_gpu.product": "Tesla-T4",
                "nvidia.com_gpu.memory": "15360",
                "nvidia.com_gpu.sharing-strategy": "time-slicing",
                "nvidia.com_gpu.replicas": "4",
            },
            "tesla-t4-15g-shared-4",
        ),
        (
            "nvidia.com/gpu",
            {
                "nvidia.com_gpu.product": "NVIDIA-A100-SXM4-40GB-SHARED",
                "nvidia.com_gpu.sharing-strategy": "mps",
                "nvidia.com_gpu.replicas": "2",
            },
            "a100-sxm4-40gb-mps-2",
        ),
        (
            "nvidia.com/mig-1g.5gb",
            {
                "nvidia.com_gpu.product": "NVIDIA-A100-SXM4-40GB",
                "nvidia.com_mig-1g.5gb.product": "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb",
                "nvidia.com_mig-1g.5gb.memory": "4864",
            },
            "a100-sxm4-40gb-mig-1g-5gb",
        ),
        ("nvidia.com/mig-1g.5gb", {}, "mig-1g-5gb"),
        ("nvidia.com/gpu", {}, "gpu"),
    ],
)
def test_shares_and_mig_profiles_are_classes_of_their_own(resource: str, labels: dict[str, str], name: str) -> None:
    found = classes([node("a", {resource: "4"}, **labels)], devices={"gpuResource": resource})
    assert summary(found) == [(name, True, 1, 4)]


def test_a_cluster_without_gpus_works_out_of_the_box() -> None:
    nodes = [node("a", **AMD64), node("b", **AMD64), node("c", **AMD64, **INTEL)]
    assert summary(classes(nodes)) == [("cpu-amd64", False, 2, 2), ("cpu-intel-6-143", False, 1, 1)]


def test_without_a_gpu_resource_gpu_nodes_are_nodes_as_others() -> None:
    nodes = [node("a", {GPU: "1"}, **AMD64, **T4), node("b", **AMD64)]
    assert summary(classes(nodes, devices={"gpuResource": ""})) == [("cpu-amd64", False, 2, 2)]


def test_a_resource_that_was_asked_for_by_name_is_waited_for() -> None:
    resource = "nvidia.com/mig-1g.5gb"
    assert summary(classes([node("a", **AMD64)], devices={"gpuResource": resource})) == [("mig-1g-5gb", True, 0, 0)]


@pytest.mark.parametrize("nodes", [None, []])
def test_without_nodes_the_spec_makes_the_class(nodes: Any) -> None:
    assert summary(classes(nodes)) == [("gpu", True, 0, 0)]
    assert summary(classes(nodes, devices={"gpuResource": ""})) == [("cpu", False, 0, 0)]
    selector = {"nvidia.com/gpu.product": "Tesla-T4", "kubernetes.io/arch": "amd64"}
    (cls,) = classes(nodes, runtime={"nodeSelector": selector})
    assert (cls.name, cls.requirements) == ("tesla-t4-amd64", ())


def test_only_nodes_that_the_selectors_name_count() -> None:
    nodes = [node("a", pool="x", zone="1"), node("b", pool="x", zone="2"), node("c", pool="y", zone="1")]
    template = {"spec": {"nodeSelector": {"zone": "1"}}}
    assert [cls.nodes for cls in classes(nodes, runtime={"nodeSelector": {"pool": "x"}})] == [2]
    assert [cls.nodes for cls in classes(nodes, Settings(pod_template=template))] == [2]
    both = classes(nodes, runtime={"nodeSelector": {"pool": "x"}, "podTemplate": template})
    assert [cls.nodes for cls in both] == [1]


@pytest.mark.parametrize(
    ("taint", "tolerations", "counts"),
    [
        ({"key": "a", "value": "b", "effect": "NoSchedule"}, [], False),
        ({"key": "a", "value": "b", "effect": "NoExecute"}, [], False),
        ({"key": "a", "value": "b", "effect": "PreferNoSchedule"}, [], True),
        ({"key": "a", "value": "b", "effect": "NoSchedule"}, [{"key": "a", "value": "b"}], True),
        ({"key": "a", "value": "b", "effect": "NoSchedule"}, [{"key": "a", "value": "c"}], False),
        ({"key": "a", "value": "b", "effect": "NoSchedule"}, [{"key": "a", "operator": "Exists"}], True),
        ({"key": "a", "value": "b", "effect": "NoSchedule"}, [{"operator": "Exists"}], True),
        (
            {"key": "a", "value": "b", "effect": "NoExecute"},
            [{"key": "a", "operator": "Exists", "effect": "NoSchedule"}],
            False,
        ),
        ({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}, [], True),
        ({"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}, [], True),
    ],
)
def test_taints_count_as_the_scheduler_has_it(taint: Any, tolerations: Any, counts: bool) -> None:
    nodes = [node("a", {GPU: "1"}, [taint]), node("b", **AMD64)]
    found = classes(nodes, runtime={"tolerations": tolerations})
    assert [cls.gpu for cls in found] == [counts]


def test_a_node_whose_gpus_fail_for_a_while_keeps_its_class() -> None:
    broken = node("a", {GPU: "4"}, **T4)
    broken["status"]["allocatable"][GPU] = "0"
    assert summary(classes([broken])) == [("tesla-t4-15g", True, 1, 0)]


def test_replicas_of_several_gpus_have_fewer_slots() -> None:
    nodes = [node("a", {GPU: "5"}), node("b", {GPU: "1"})]
    (cls,) = classes(nodes, runtime={"resources": {"limits": {GPU: 2}}})
    assert cls.slots == 2


def test_nodes_of_another_operating_system_do_not_count() -> None:
    nodes = [node("a", {GPU: "4"}, **{"kubernetes.io_os": "windows"}), node("b", **AMD64)]
    assert summary(classes(nodes)) == [("cpu-amd64", False, 1, 1)]
