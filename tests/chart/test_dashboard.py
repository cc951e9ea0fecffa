"""The Grafana dashboard asks for metrics that there are, and fits on its grid."""

import json
import re
from typing import Any

import pytest
from prometheus_client import REGISTRY

from chrion_operator.cluster import metrics
from tests.chart.value_sets import VALUE_SETS
from tests.support.chart import CHART, Chart, render

ROOT = CHART.parents[1]
METRIC = re.compile(r"\bchrion_[a-z_]+")
SERIES = re.compile(r"_(bucket|sum|count)$")


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((CHART / "files" / "dashboards" / "chrion.json").read_text(encoding="utf-8"))
    return loaded


def queries(dashboard: dict[str, Any]) -> list[str]:
    """Every query of the dashboard."""
    panels = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    return panels + [variable["definition"] for variable in dashboard["templating"]["list"] if "definition" in variable]


def test_metrics_are_documented(dashboard: dict[str, Any]) -> None:
    documented = set()
    for page in (ROOT / "docs").rglob("*.md"):
        documented |= set(METRIC.findall(page.read_text(encoding="utf-8")))
    asked = {SERIES.sub("", name) for query in queries(dashboard) for name in METRIC.findall(query)}
    assert asked <= documented


def test_operator_s_metrics_exist(dashboard: dict[str, Any]) -> None:
    exist = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in REGISTRY.collect()
        if family.name.startswith("chrion_operator_")
    }
    assert metrics.LEADING
    page = (ROOT / "docs" / "operator" / "operations.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `(chrion_operator_\w+)` \|", page, re.MULTILINE))
    assert told == exist
    asked = {SERIES.sub("", name) for query in queries(dashboard) for name in re.findall(r"chrion_operator_\w+", query)}
    assert asked <= exist


def test_panels_fit_on_the_grid(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert all(x < 24 for x, _ in cells), panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_every_query_is_closed(dashboard: dict[str, Any]) -> None:
    for query in queries(dashboard):
        for opened, closed in ("()", "{}", "[]"):
            assert query.count(opened) == query.count(closed), query


def test_configmap_holds_it(chart: Chart, dashboard: dict[str, Any]) -> None:
    config = render(chart, VALUE_SETS["observed"]).one("ConfigMap")
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert config["metadata"]["annotations"] == {"grafana_folder": "Models"}
    assert json.loads(config["data"]["chrion.json"]) == dashboard
