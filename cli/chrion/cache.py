"""What may be kept between runs: normalised models and plans, in the user's cache folder, each under its key."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import onnxruntime as ort
import platformdirs

from chrion.version import __version__
from chrion_api import DeviceKey, InputSpec
from chrion_graph.files import WriteFailed
from chrion_graph.limits import Limits
from chrion_graph.load import digest, read_model
from chrion_graph.normalise import MODEL_FILE, WEIGHTS_FILE, normalise
from chrion_runtime.session import Normalised


def folder() -> Path:
    """The cache folder; CHRION_CACHE names another."""
    named = os.environ.get("CHRION_CACHE")
    return Path(named) if named else Path(platformdirs.user_cache_dir("chrion"))


def normalised(model: Path, limits: Limits) -> Normalised:
    """The model in normalised form: from the cache, else made and kept there. Raises ModelError."""
    read_model(model, limits)
    sha = digest(model, limits)
    target = folder() / "models" / f"{sha[:32]}-{ort.__version__}"
    if not all((target / name).exists() for name in (MODEL_FILE, WEIGHTS_FILE)):
        _build(model, target, limits)
    return Normalised(target, sha)


def _build(model: Path, target: Path, limits: Limits) -> None:
    """Make it aside and rename, so that nobody ever loads half of one."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    except OSError as error:
        raise WriteFailed(
            f"{target.parent}: cannot be written: {error.strerror}; set CHRION_CACHE to another folder"
        ) from None
    try:
        normalise(model, aside, limits)
        if target.exists():
            shutil.rmtree(target)
        aside.rename(target)
    except OSError as error:
        raise WriteFailed(f"{target}: cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def plan_path(sha: str, inputs: Sequence[InputSpec], devices: dict[str, DeviceKey], lanes: int) -> Path:
    """Where the plan of a model is kept: named by all that it depends on."""
    key = json.dumps(
        {
            "chrion": __version__,
            "model": sha,
            "inputs": [spec.to_data() for spec in inputs],
            "devices": {name: device.to_data() for name, device in devices.items()},
            "lanes": lanes,
        },
        sort_keys=True,
    )
    return folder() / "plans" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
