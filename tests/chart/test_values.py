"""Values that cannot be used are refused, and the chart's files say the same of all others."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.support.chart import CHART, Chart, ChartRefused, render
from tests.support.scripts import script

README = script(CHART.parent / "readme.py")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"replica": 2}, "additional properties 'replica' not allowed"),
        ({"replicas": -1}, "at '/replicas': minimum"),
        ({"replicas": "2"}, "at '/replicas': got string, want integer"),
        ({"operator": {"resource": {}}}, "at '/operator': additional properties 'resource' not allowed"),
        ({"operator": {"workers": 0}}, "at '/operator/workers': minimum"),
        ({"operator": {"scrapeSeconds": 0}}, "at '/operator/scrapeSeconds'"),
        ({"operator": {"logLevel": "loud"}}, "must be one of 'debug', 'info', 'warning', 'error'"),
        ({"operator": {"env": [{"value": "x"}]}}, "missing property 'name'"),
        ({"images": {"pullPolicy": "Sometimes"}}, "must be one of 'Always', 'IfNotPresent', 'Never'"),
        ({"images": {"pullSecrets": ["registry"]}}, "at '/images/pullSecrets/0': got string, want object"),
        ({"images": {"operator": "with space"}}, "at '/images/operator'"),
        ({"watchNamespaces": "team-a"}, "at '/watchNamespaces': got string, want array"),
        ({"watchNamespaces": ["Team_A"]}, "at '/watchNamespaces/0'"),
        ({"watchNamespaces": ["a", "a"]}, "at '/watchNamespaces': items at 0 and 1 are equal"),
        ({"models": {"maxBytes": "8 apples"}}, "at '/models/maxBytes'"),
        ({"models": {"maxBytes": 8}}, "at '/models/maxBytes': got number, want string"),
        ({"models": {"podTemplate": {"containers": []}}}, "additional properties 'containers' not allowed"),
        ({"networkPolicy": {"apiServerPorts": [0]}}, "at '/networkPolicy/apiServerPorts/0': minimum"),
        ({"serviceMonitor": {"interval": "often"}}, "at '/serviceMonitor/interval'"),
        ({"test": {"model": "yes"}}, "at '/test/model': got string, want boolean"),
    ],
)
def test_bad_values_are_refused_by_name(chart: Chart, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ChartRefused) as refused:
        render(chart, values)
    assert message in str(refused.value)


def leaves(tree: Any, path: str = "") -> Iterator[str]:
    """The paths of a schema's properties."""
    for name, below in tree.get("properties", {}).items():
        yield f"{path}{name}"
        yield from leaves(below, f"{path}{name}.")


def test_schema_knows_every_value_and_no_other() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    documented = {value.path for value in README.values((CHART / "values.yaml").read_text(encoding="utf-8"))}
    groups = {path.rsplit(".", 1)[0] for path in documented if "." in path}
    # What is inside of a documented value, such as resources.limits, is Kubernetes' own.
    known = {path for path in leaves(schema) if not any(path.startswith(f"{value}.") for value in documented)}
    assert known - {"global"} == documented | groups


def test_readme_is_in_sync() -> None:
    assert (CHART / "README.md").read_text(encoding="utf-8") == README.generated(), "run `make schema`"


def test_value_without_a_comment_is_found() -> None:
    with pytest.raises(ValueError, match=r"a\.b has no comment"):
        list(README.values("a:\n  b: 1\n"))


def test_chart_is_of_the_version_of_the_code() -> None:
    from chrion.version import __version__

    described = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert described["version"] == described["appVersion"] == __version__
    images = yaml.safe_load(described["annotations"]["artifacthub.io/images"])
    assert {image["image"].rsplit(":")[1] for image in images} == {__version__}


def test_example_in_the_annotations_is_a_chrionmodel() -> None:
    from chrion_api import ChrionModel

    described = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    for example in yaml.safe_load(described["annotations"]["artifacthub.io/crdsExamples"]):
        ChrionModel.model_validate(example)
