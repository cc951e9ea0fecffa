"""What may be kept between runs, in the user's cache folder, each under its key: normalised models, plans, and what is
known of devices."""

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
from chrion_api.document import AnyDocument
from chrion_graph.files import WriteFailed, write_aside
from chrion_graph.limits import Limits
from chrion_graph.load import checked_digest
from chrion_graph.normalise import FILES, normalise
from chrion_graph.rewrite import REWRITES
from chrion_graph.seal import SUMS_FILE, damage, sealed, unsealed
from chrion_planner.profiling import Known
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
    kept = _kept(path, PlanFile)
    return kept if kept is not None and _rewrites(kept) <= REWRITES.keys() else None


def _rewrites(plan_file: PlanFile) -> set[str]:
    plans = (plan for bucket in plan_file.buckets for plan in bucket.plans)
    return {rewrite.name for plan in plans for rewrite in plan.rewrites}


def keep_plan(path: Path, plan_file: PlanFile) -> None:
    """Keep a plan at `path`, which `plan_path` gives. Raises WriteFailed."""
    write_aside(path, sealed(plan_file.to_json().encode()))


def _kept(path: Path, kind: type[AnyDocument]) -> AnyDocument | None:
    """The document that is kept at `path`; None where there is none, or it is damaged."""
    if not path.is_file():
        return None
    try:
        data = unsealed(path.read_bytes())
        if data is not None:
            return kind.from_json(data, path.name)
        problem = "its digest has changed since it was written"
    except (OSError, InvalidDocument) as error:
        problem = str(error)
    _warn(path, problem)
    return None


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


class DeviceFigures:
    """Figures of devices, each under its key; shared by all models."""

    def __init__(self, write_only: bool = False) -> None:
        """`write_only` to have everything measured again, and to replace what is known by that."""
        self._write_only = write_only

    def read(self, key: DeviceKey, lanes: int) -> Known | None:
        """What is known of a device; None where that is nothing, or damaged."""
        return None if self._write_only else _kept(_figures_path(key, lanes), Known)

    def keep(self, found: Known) -> None:
        """Keep these too; where they cannot be written they are measured again another time."""
        path = _figures_path(found.device.key, found.device.lanes)
        known = _kept(path, Known)
        try:
            write_aside(path, sealed((known.joined(found) if known else found).to_json().encode()))
        except WriteFailed as error:
            log.warning("%s", error)


def figures_name(key: DeviceKey, lanes: int) -> str:
    """The name under which figures of a device are kept: of all that they depend on, and of this version."""
    text = json.dumps({"chrion": __version__, "device": key.to_data(), "lanes": lanes}, sort_keys=True)
    return f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


def _figures_path(key: DeviceKey, lanes: int) -> Path:
    return folder() / "figures" / figures_name(key, lanes)
