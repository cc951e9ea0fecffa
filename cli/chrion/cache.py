"""What may be kept between runs: normalised models and plans, in the user's cache folder, each under its key."""

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime as ort
import platformdirs

from chrion.version import __version__
from chrion_api import DeviceKey, InvalidDocument, PlanFile
from chrion_graph.files import WriteFailed, write_aside
from chrion_graph.limits import Limits
from chrion_graph.load import checked_digest
from chrion_graph.normalise import FILES, normalise
from chrion_graph.rewrite import REWRITES
from chrion_graph.seal import SUMS_FILE, damage, sealed, unsealed
from chrion_runtime.planned_model import NormalisedModel

log = logging.getLogger(__name__)


def folder() -> Path:
    """The cache folder; CHRION_CACHE names another."""
    named = os.environ.get("CHRION_CACHE")
    return Path(named) if named else Path(platformdirs.user_cache_dir("chrion"))


def normalised(model: Path, limits: Limits) -> NormalisedModel:
    """The model in normalised form: from the cache, where that is undamaged, else made and kept there.

    Raises ModelError, WriteFailed.
    """
    sha = checked_digest(model, limits)
    target = folder() / "models" / f"{sha[:32]}-{ort.__version__}"
    if target.exists():
        if not (problem := damage(target, FILES)):
            return NormalisedModel(target, sha)
        if (target / SUMS_FILE).exists():  # else an earlier version made it
            _warn(target, problem)
    _build(model, target, limits)
    return NormalisedModel(target, sha)


def _build(model: Path, target: Path, limits: Limits) -> None:
    """Build it aside and rename it, so that half a model is never loaded.

    File by file: others may serve from the folder, or make the same at the same time. The digests come last.
    """
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    except OSError as error:
        raise WriteFailed(
            f"{target}: cannot be written: {error.strerror}; set CHRION_CACHE to another folder"
        ) from None
    try:
        normalise(model, aside, limits)
        for name in (*FILES, SUMS_FILE):
            (aside / name).replace(target / name)
    except OSError as error:
        raise WriteFailed(f"{target}: cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def plan(path: Path) -> PlanFile | None:
    """The plan that is kept at `path`; None where there is none, it is damaged, or it has rewrites that are gone."""
    if not path.is_file():
        return None
    try:
        data = unsealed(path.read_bytes())
        if data is not None:
            kept = PlanFile.from_json(data, path.name)
            return kept if _rewrites(kept) <= REWRITES.keys() else None
        problem = "it has another digest than when it was written"
    except (OSError, InvalidDocument) as error:
        problem = str(error)
    _warn(path, problem)
    return None


def _rewrites(plan_file: PlanFile) -> set[str]:
    plans = (plan for bucket in plan_file.buckets for plan in bucket.plans)
    return {rewrite.name for plan in plans for rewrite in plan.rewrites}


def keep_plan(path: Path, plan_file: PlanFile) -> None:
    """Keep a plan at `path`, which `plan_path` gives. Raises WriteFailed."""
    write_aside(path, sealed(plan_file.to_json().encode()))


def _warn(path: Path, problem: str) -> None:
    log.warning("%s: the cache is damaged: %s; rebuilding it", path, problem)


def plan_path(sha: str, asked: Mapping[str, Any], devices: dict[str, DeviceKey], lanes: int) -> Path:
    """Where the plan of a model is kept: named by all that it depends on.

    `asked` is as `ChrionModelSpec.plan_inputs`; the model's digest and the devices of this machine stand in for theirs.
    """
    key = json.dumps(
        {
            **asked,
            "chrion": __version__,
            "model": sha,
            "devices": {name: device.to_data() for name, device in devices.items()},
            "lanes": lanes,
        },
        sort_keys=True,
    )
    return folder() / "plans" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
