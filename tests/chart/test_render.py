"""The chart renders, for many sets of values, to what these values mean."""

import json
from typing import Any

import pytest

from tests.chart.value_sets import VALUE_SETS
from tests.support.chart import Chart, render

each_set = pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS)


@each_set
def test_lint_finds_nothing(chart: Chart, values: dict[str, Any]) -> None:
    report = chart.lint(values)
    assert report["errors"] == []
    assert [message for message in report["messages"] if message["severity"] > 1] == []


@each_set
def test_objects_have_a_place_and_labels(chart: Chart, values: dict[str, Any]) -> None:
    rendered = render(chart, values, name="release")
    names = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in rendered.objects]
    assert len(names) == len(set(names))
    for each in rendered.objects:
        labels = each["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "release"
        assert labels["app.kubernetes.io/part-of"] == "chrion"
        in_cluster = each["kind"].startswith("Cluster") or each["kind"] == "CustomResourceDefinition"
        assert in_cluster == ("namespace" not in each["metadata"]), each["kind"]
        assert all(len(str(value)) <= 63 for value in labels.values())


@each_set
def test_selectors_match_the_pods_they_are_for(chart: Chart, values: dict[str, Any]) -> None:
    rendered = render(chart, values)
    deployment = rendered.one("Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"].items()
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels
    assert rendered.one("Service")["spec"]["selector"].items() <= labels
    for kind, path in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        for each in rendered.of(kind):
            assert each["spec"][path]["matchLabels"].items() <= labels
    for monitor in rendered.of("ServiceMonitor"):
        assert (
            monitor["spec"]["selector"]["matchLabels"].items() <= rendered.one("Service")["metadata"]["labels"].items()
        )


@each_set
def test_notes_name_what_was_installed(chart: Chart, values: dict[str, Any]) -> None:
    rendered = render(chart, values)
    assert f"deployment/{rendered.one('Deployment')['metadata']['name']}" in rendered.notes


def test_settings_reach_the_operator(chart: Chart) -> None:
    placed = render(chart, VALUE_SETS["placed"]).environment()
    assert placed["CHRION_FETCH_ALLOW"] == "minio.storage.svc,10.0.0.0/8"
    assert placed["CHRION_MAX_MODEL_BYTES"] == "512Mi"
    assert json.loads(placed["CHRION_POD_TEMPLATE"]) == VALUE_SETS["placed"]["models"]["podTemplate"]
    assert render(chart, VALUE_SETS["namespaced"]).environment()["CHRION_NAMESPACES"] == "team-a,team-b"
    observed = render(chart, VALUE_SETS["observed"]).environment()
    assert observed["CHRION_SERVICE_MONITOR"] == "true"
    assert json.loads(observed["CHRION_SERVICE_MONITOR_LABELS"]) == {"release": "prometheus"}


def test_images_come_from_one_place_unless_named_in_full(chart: Chart) -> None:
    rendered = render(chart, VALUE_SETS["own images"])
    (container,) = rendered.one("Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example.com:5000/mirror/chrion/chrion-operator:1.2.3"
    environment = rendered.environment()
    assert environment["CHRION_PLANNER_GPU_IMAGE"].endswith("/chrion-planner-cuda:1.2.3")
    assert environment["CHRION_RUNTIME_GPU_IMAGE"] == VALUE_SETS["own images"]["images"]["runtimeGpu"]
    template = json.loads(environment["CHRION_POD_TEMPLATE"])
    assert template == {"spec": {"imagePullSecrets": [{"name": "registry"}]}}


def test_definition_is_upgraded_and_kept(chart: Chart) -> None:
    assert not chart.crds, "Helm never upgrades what is in crds/"
    kept = render(chart, {}).one("CustomResourceDefinition")
    assert kept["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    free = render(chart, {"crds": {"keep": False}}).one("CustomResourceDefinition")
    assert "annotations" not in free["metadata"] or "helm.sh/resource-policy" not in free["metadata"]["annotations"]
    assert not render(chart, {"crds": {"install": False}}).of("CustomResourceDefinition")


def test_names_of_two_releases_differ(chart: Chart) -> None:
    first, second = (
        {(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in rendered.objects}
        for rendered in (
            render(chart, {"crds": {"install": False}}, namespace="a"),
            render(chart, {"crds": {"install": False}}, namespace="b"),
        )
    )
    assert not first & second
