"""The chart as Helm renders it: objects by kind and name."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from helm_python import Chart

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


def render(chart: Chart, values: Mapping[str, Any], name: str = "chrion", namespace: str = "chrion-system") -> Rendered:
    """The chart's objects with these values; raises HelmValuesError for values that are refused."""
    return Rendered(chart.render(values=dict(values), name=name, namespace=namespace))
