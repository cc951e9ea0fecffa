"""Whether an object is there as its manifest says."""

from chrion_operator.names import Object
from chrion_operator.reconcile.contains import contains, digest
from chrion_operator.reconcile.observed import Observed


def is_current(observed: Observed, manifest: Object) -> bool:
    """Whether the object holds all that the manifest says, or is what the server last made of that very manifest."""
    seen = observed.get(manifest["kind"], manifest["metadata"]["name"])
    if seen is None:
        return False
    said = {name: value for name, value in manifest.items() if name not in ("apiVersion", "kind")}
    return contains(seen.object, said) or seen.settled == digest(manifest)
