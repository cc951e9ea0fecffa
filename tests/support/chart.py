"""The chart as Helm renders it: objects by kind and name."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from chrion_graph.worker import Worker

CHART = Path(__file__).parents[2] / "charts" / "chrion"

Object = dict[str, Any]
"""A Kubernetes object, as YAML has it."""


class Rendered:
    """The objects of one rendering."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.notes = files["chrion/templates/NOTES.txt"]
        self.objects: list[Object] = [
            document
            for name, text in files.items()
            if name.endswith(".yaml")
            for document in yaml.safe_load_all(text)
            if document
        ]

    def of(self, kind: str) -> list[Object]:
        """All objects of a kind."""
        return [found for found in self.objects if found["kind"] == kind]

    def one(self, kind: str, name: str = "") -> Object:
        """The only object of a kind, or the one of that name."""
        (found,) = (each for each in self.of(kind) if name in ("", each["metadata"]["name"]))
        return found

    def pods(self) -> Iterator[tuple[str, Object]]:
        """The kind of object and the pod spec of everything that makes pods."""
        for found in self.objects:
            if found["kind"] == "Pod":
                yield "Pod", found["spec"]
            elif "template" in found.get("spec", {}):
                yield found["kind"], found["spec"]["template"]["spec"]

    def environment(self) -> dict[str, str]:
        """The operator's own variables that have a plain value."""
        (container,) = self.one("Deployment")["spec"]["template"]["spec"]["containers"]
        return {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}


class ChartRefused(Exception):
    """Helm refuses the chart with these values: in its own words."""


class Chart:
    """The chart, looked into by Helm's own library.

    That is in a process of its own, and imported nowhere else: its Go runtime takes over the signals of the process, so
    that a broken pipe ends it, and crashes where OpenVINO has run.
    """

    def __init__(self) -> None:
        self._worker = Worker(ready_for=_answer)

    def render(self, values: Mapping[str, Any], name: str, namespace: str) -> dict[str, str]:
        """The files that it renders to. Raises ChartRefused."""
        return self._ask(partial(_render, dict(values), name, namespace))

    @property
    def crds(self) -> list[dict[str, str]]:
        """What is in its folder crds/."""
        found: list[dict[str, str]] = self._ask(_crds)
        return found

    def lint(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """What Helm finds wrong with it. Raises ChartRefused."""
        return self._ask(partial(_lint, dict(values)))

    def close(self) -> None:
        """End the process."""
        self._worker.kill()

    def _ask(self, function: Callable[[], Any]) -> Any:
        found, refusal = self._worker.call(_answer, function, seconds=60, what="Helm")
        if refusal:
            raise ChartRefused(refusal)
        return found


def _answer(function: Callable[[], Any]) -> tuple[Any, str]:
    """What a function returns, and why Helm refuses."""
    import helm_python

    try:
        return function(), ""
    except helm_python.HelmError as error:
        return None, str(error)


def _crds() -> list[dict[str, str]]:
    import helm_python

    with helm_python.Chart.load(CHART) as chart:
        return list(chart.crds)


def _lint(values: dict[str, Any]) -> dict[str, Any]:
    import helm_python

    return helm_python.lint(CHART, values, strict=True, namespace="chrion-system")


def _render(values: dict[str, Any], name: str, namespace: str) -> dict[str, str]:
    import helm_python

    with helm_python.Chart.load(CHART) as chart:
        return dict(chart.render(values=values, name=name, namespace=namespace))


def render(chart: Chart, values: Mapping[str, Any], name: str = "chrion", namespace: str = "chrion-system") -> Rendered:
    """The chart's objects with these values; raises ChartRefused for values that are."""
    return Rendered(chart.render(values, name, namespace))
