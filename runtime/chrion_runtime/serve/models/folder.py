"""A folder of models, as the repository API sees it: nothing outside it can be named, and nothing leads out of it."""

import re
from dataclasses import dataclass
from pathlib import Path

from chrion_runtime.errors import RuntimeFailure
from chrion_runtime.serve.protocol.errors import BadRequest, NotFound

MODEL, PLAN, CHRIONMODEL = "model.onnx", "plan.json", "chrionmodel.yaml"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")


@dataclass(frozen=True)
class Entry:
    """One model of the folder: files that are there, all inside it."""

    name: str
    model: Path
    plan: Path
    chrionmodel: Path | None
    """What says objective, state and inputs, where it is there."""


class RepositoryFolder:
    """A folder with one folder a model: `model.onnx`, `plan.json` and perhaps `chrionmodel.yaml`."""

    def __init__(self, root: Path) -> None:
        """Raises RuntimeFailure where there is no such folder."""
        if not root.is_dir():
            raise RuntimeFailure(f"{root}: is not a folder; name one that holds a folder for each model")
        self.root = root.resolve()

    def names(self) -> list[str]:
        """The models that may be loaded, sorted: folders with a model in them."""
        return sorted(
            folder.name
            for folder in self.root.iterdir()
            if _NAME.fullmatch(folder.name) and self._inside(folder / MODEL) and (folder / MODEL).is_file()
        )

    def entry(self, name: str) -> Entry:
        """The files of a model. Raises NotFound, and BadRequest where one is missing or leads out of the folder."""
        folder = self.root / name
        # The name comes from a client: a plain one, of a folder that is right here.
        if not _NAME.fullmatch(name) or not folder.is_dir() or not self._inside(folder):
            raise NotFound(f'model "{name[:80]}" is not in the repository; POST /v2/repository/index lists all')
        model = self._file(name, MODEL, "put the ONNX model there")
        plan = self._file(name, PLAN, f"make it with `chrion plan {name}/{MODEL} -o {name}/{PLAN}`")
        there = (folder / CHRIONMODEL).is_symlink() or (folder / CHRIONMODEL).exists()
        return Entry(name, model, plan, self._file(name, CHRIONMODEL, "") if there else None)

    def _file(self, name: str, file: str, advice: str) -> Path:
        path = self.root / name / file
        if not self._inside(path):
            raise BadRequest(f'model "{name}": {file} leads out of the repository or is a broken link')
        if not path.is_file():
            raise BadRequest(f'model "{name}": {file} is missing; {advice}')
        return path

    def _inside(self, path: Path) -> bool:
        try:
            return path.resolve().is_relative_to(self.root)
        except (OSError, RuntimeError):  # a ring of links
            return False
