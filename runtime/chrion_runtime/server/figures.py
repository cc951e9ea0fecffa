"""What models count and measure of themselves, as Prometheus metrics: read when the metrics are."""

from collections.abc import Iterator
from weakref import WeakValueDictionary

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from chrion_runtime.servable import Servable


class Figures(Collector):
    """The figures of every model that is there, each with the label `model`."""

    def __init__(self) -> None:
        self._servables: WeakValueDictionary[str, Servable] = WeakValueDictionary()

    def add(self, servable: Servable) -> None:
        """Read this model's figures from now on, for as long as it is there, in place of another's of its name."""
        self._servables[servable.name] = servable

    def forget(self, model: str) -> None:
        """Read a model's figures no more."""
        self._servables.pop(model, None)

    def collect(self) -> Iterator[Metric]:
        found: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for servable in sorted(self._servables.values(), key=lambda one: one.name):
            for figure in servable.figures():
                labels = ("model", *figure.labels)
                kind = CounterMetricFamily if figure.kind == "counter" else GaugeMetricFamily
                family = found.setdefault(figure.name, kind(figure.name, figure.help, labels=labels))
                family.add_metric([servable.name, *figure.labels.values()], figure.value)
        yield from found.values()
