"""Check that Chrion can run here: on Linux, with exactly one of the packages that provide ONNX Runtime.

pip lets both or none happen, and installs on systems that Chrion does not run on.
"""

import sys
from importlib.metadata import PackageNotFoundError, version

from chrion.errors import UsageError

_PACKAGES = {"onnxruntime": "cpu", "onnxruntime-gpu": "gpu"}


def check_installation() -> None:
    """Raise UsageError unless this is Linux, and exactly one of ONNX Runtime's packages is installed."""
    # Not the constant: type checkers take what follows to be unreachable on other systems.
    if (system := str(sys.platform)) != "linux":
        name = {"darwin": "macOS", "win32": "Windows"}.get(system, system)
        raise UsageError(f"Chrion runs on Linux only, not on {name}: run it in a container, WSL or a virtual machine")
    found = [package for package in _PACKAGES if _installed(package)]
    if len(found) == 1:
        return
    if found:
        raise UsageError(
            f"{' and '.join(found)} are both installed and overwrite each other; "
            "uninstall both, then install chrion[cpu] or chrion[gpu]"
        )
    raise UsageError("ONNX Runtime is not installed; install chrion[cpu], or chrion[gpu] for NVIDIA GPUs")


def _installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True
