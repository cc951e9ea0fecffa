"""The chart, loaded by Helm's own library."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.chart import Chart


@pytest.fixture(scope="session")
def chart() -> Iterator[Chart]:
    """The chart."""
    with closing(Chart()) as loaded:
        yield loaded
