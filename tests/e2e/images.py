"""The image of the pods under test: near to empty, with this machine's Python and this checkout mounted into it.

What runs is what an image of a release runs, the same entry points as the same user, without a builder or a registry.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.cluster.kubernetes.image import write_image

IMAGE = "localhost/chrion:e2e"

CHECKOUT = Path(__file__).resolve().parents[2]


def import_image(folder: Path, name: str = IMAGE, entrypoint: Sequence[str] = ()) -> str:
    """Make the image and hand it to the node; its name."""
    archive = folder / "chrion.tar"
    write_image(
        archive,
        name,
        links={f"/{name}": f"usr/{name}" for name in ("bin", "lib", "lib64", "sbin")},
        entrypoint=entrypoint,
        environment={"PATH": f"{sys.prefix}/bin:/usr/bin:/bin"},
    )
    subprocess.run(["ctr", "-n", "k8s.io", "images", "import", archive], check=True, stdout=subprocess.DEVNULL)
    return name


def pod_template(certificate: Path) -> dict[str, Any]:
    """What makes the near-empty image whole in the operator's pods, whose fetchers trust `certificate`."""
    folders = _folders(certificate.parent)
    mounts = [{"name": name, "mountPath": str(path), "readOnly": True} for name, path in folders.items()]
    trust = [{"name": "SSL_CERT_FILE", "value": str(certificate)}]
    return {
        "spec": {
            "initContainers": [{"name": "fetch", "volumeMounts": mounts, "env": trust}],
            "containers": [{"name": name, "volumeMounts": mounts} for name in ("plan", "serve")],
            "volumes": [{"name": name, "hostPath": {"path": str(path)}} for name, path in folders.items()],
        }
    }


def settings(certificate: Path) -> dict[str, str]:
    """The operator's environment for pods of this image."""
    names = ("PLANNER_IMAGE", "RUNTIME_IMAGE", "PLANNER_GPU_IMAGE", "RUNTIME_GPU_IMAGE")
    return {
        **{f"CHRION_{name}": IMAGE for name in names},
        "CHRION_IMAGE_PULL_POLICY": "Never",
        "CHRION_POD_TEMPLATE": json.dumps(pod_template(certificate)),
    }


def _folders(certificates: Path) -> dict[str, Path]:
    """What every pod sees of the machine, read-only and at the same path, without what lies in another of them."""
    folders = {
        "usr": Path("/usr"),
        "python": Path(sys.base_prefix),
        "venv": Path(sys.prefix),
        "checkout": CHECKOUT,
        "certificates": certificates,
    }
    return {
        name: path for name, path in folders.items() if not any(other in path.parents for other in folders.values())
    }
