"""Models that must be refused, or run within limits: one table, written into a folder on demand."""

from pathlib import Path

from tests.support.bad_models import external, files, graphs, hungry
from tests.support.bad_models.build import BadModel

__all__ = ["BAD_MODELS", "BadModel", "write_bad_models"]

BAD_MODELS: dict[str, BadModel] = {**files.MODELS, **graphs.MODELS, **external.MODELS, **hungry.MODELS}


def write_bad_models(root: Path) -> dict[str, Path]:
    """Write every bad model to `root`/NAME/NAME.onnx, each in a folder of its own, and return the paths by name."""
    paths = {}
    for name, bad in BAD_MODELS.items():
        folder = root / name
        folder.mkdir()
        paths[name] = folder / f"{name}.onnx"
        paths[name].write_bytes(bad.build(folder))
    return paths
