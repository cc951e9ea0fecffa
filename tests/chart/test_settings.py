"""The chart and the operator agree on the settings."""

from dataclasses import fields
from typing import Any

import pytest

from chrion_operator.settings import Settings
from tests.chart.value_sets import VALUE_SETS
from tests.support.chart import Chart, render


def test_chart_sets_every_setting_there_is(chart: Chart) -> None:
    (container,) = render(chart, {}).one("Deployment")["spec"]["template"]["spec"]["containers"]
    named = {entry["name"] for entry in container["env"]}
    assert named == {f"CHRION_{field.name.upper()}" for field in fields(Settings)}


@pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS)
def test_settings_can_be_used(chart: Chart, values: dict[str, Any]) -> None:
    settings = Settings.from_environment(render(chart, values).environment())
    assert list(settings.namespaces) == values.get("watchNamespaces", [])
    assert settings.max_model_bytes > 0
