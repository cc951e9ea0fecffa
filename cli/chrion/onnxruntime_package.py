"""Check that exactly one of the packages that provide ONNX Runtime is installed: pip lets both or none happen."""

from importlib.metadata import PackageNotFoundError, version

from chrion.errors import UsageError

_PACKAGES = {"onnxruntime": "cpu", "onnxruntime-gpu": "gpu"}


def check_onnxruntime() -> None:
    """Raise UsageError unless exactly one of ONNX Runtime's packages is installed."""
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
