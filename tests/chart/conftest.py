"""The chart, loaded by Helm's own library."""

from collections.abc import Iterator

import pytest
from helm_python import Chart

from tests.support.chart import CHART


@pytest.fixture(scope="session")
def chart() -> Iterator[Chart]:
    """The chart."""
    with Chart.load(CHART) as loaded:
        yield loaded
