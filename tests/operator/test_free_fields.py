"""Resources and pod templates may hold anything: what comes of it is a pod, or an error that names the field."""

from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from chrion_api import InvalidField
from chrion_operator.nodes import node_classes
from chrion_operator.settings import Settings
from tests.operator.test_pods import containers, pods
from tests.support.objects import node, spec

NAMES = (
    "metadata", "labels", "annotations", "spec", "containers", "initContainers", "volumes", "env", "name", "image",
    "resources", "limits", "requests", "cpu", "nodeSelector", "tolerations", "key", "affinity", "nodeAffinity",
    "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms", "matchExpressions", "securityContext",
)  # fmt: skip

scalars = st.none() | st.booleans() | st.integers(-1, 3) | st.sampled_from(["", "serve", "plan", "fetch", "1"])
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)
some_containers = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["serve", "plan", "new"])},
        optional={"image": st.just("i"), "resources": anything, "env": anything, "command": anything},
    ),
    max_size=2,
)
some_pod = st.fixed_dictionaries(
    {},
    optional={
        "containers": some_containers,
        "initContainers": anything,
        "tolerations": anything,
        "affinity": anything,
        "nodeSelector": anything,
        "volumes": anything,
    },
)
templates = st.fixed_dictionaries({}, optional={"metadata": anything, "spec": anything | some_pod})
resources = st.dictionaries(st.sampled_from(["limits", "requests"]), anything)


@settings(deadline=None, max_examples=200)
@given(templates, resources)
def test_whatever_is_written_is_a_pod_or_named(template: Any, asked: Any) -> None:
    options = {"podTemplate": template, "resources": asked}
    made = []
    with suppress(InvalidField):
        model = spec(runtime=options, planner=options)
        (cls,) = node_classes(model, [node(**{"kubernetes.io_arch": "amd64"})], Settings())
        made = pods(cls=cls, runtime=options, planner=options)
    for pod in made:
        assert {"fetch"} < set(containers(pod))
        assert all(container["image"] for container in containers(pod).values())
