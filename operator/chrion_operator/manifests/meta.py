"""Meta: the metadata that all objects of a model have in common."""

from collections.abc import Mapping

from chrion_operator.names import Component, Object, labels, model_name, namespace, owner_reference


def metadata(
    owner: Object,
    name: str,
    component: Component,
    cls: str | None = None,
    annotations: Mapping[str, str] | None = None,
    revision: str | None = None,
) -> Object:
    """Name, namespace, labels and the owner reference; annotations where there are any."""
    return {
        "name": name,
        "namespace": namespace(owner),
        "labels": labels(model_name(owner), component, cls, revision),
        **({"annotations": dict(annotations)} if annotations else {}),
        "ownerReferences": [owner_reference(owner)],
    }
