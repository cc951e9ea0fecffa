"""Template: one pod template merged over another, lists of named things by their names.

As kubectl's strategic merge: fields are merged, null removes one, containers, volumes, environment variables and the
like are matched by name (mounts by path, ports by number), and any other list replaces the one below it. Tolerations
alone are added, so that a template never takes the one away that a GPU node's taint needs.
"""

from collections.abc import Mapping
from typing import Any

from chrion_api import InvalidField
from chrion_operator.names import Object

LIST_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "ports": "containerPort",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
}
"""Lists that are merged, and the field that tells their entries apart."""


def merge(below: Mapping[str, Any], above: Mapping[str, Any], at: str) -> Object:
    """`above` merged over `below`; `at` is the path of `above` in errors. Raises InvalidField."""
    merged = dict(below)
    for key, value in above.items():
        path = f"{at}.{key}"
        if value is None:
            merged.pop(key, None)
        elif key in LIST_KEYS and not isinstance(value, str):  # text is a label or annotation of such a name
            merged[key] = _merge_list(merged.get(key) or [], value, LIST_KEYS[key], path)
        elif key == "tolerations" and isinstance(value, list):
            merged[key] = [*merged.get(key, ()), *value]
        elif isinstance(value, dict):
            merged[key] = merge(merged[key] if isinstance(merged.get(key), dict) else {}, value, path)
        elif isinstance(merged.get(key), dict):
            raise InvalidField(path, "expected named fields, as in a Pod")
        else:
            merged[key] = value
    return merged


def _merge_list(below: list[Object], above: Any, key: str, at: str) -> list[Object]:
    if not isinstance(above, list):
        raise InvalidField(at, "expected a list, as in a Pod")
    merged = {entry[key]: entry for entry in below}
    for index, entry in enumerate(above):
        path = f"{at}[{index}]"
        if not isinstance(entry, dict) or not isinstance(entry.get(key), str | int):
            raise InvalidField(path, f"needs a {key}, because entries are merged by it")
        merged[entry[key]] = merge(merged.get(entry[key], {}), entry, path)
    return list(merged.values())
