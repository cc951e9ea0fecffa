"""The profiles in bench/profiles, on which plans are made offline; `python -m chrion_bench.profiles` writes some again.

Those are two for each of a few models: its CPU profile as measured here, and the same with a modelled GPU beside it.
They hold every rewritten graph, so they are rebuilt when rewrites or the profile's format change. Of GPUs there is a
file each, with the profiles of several models, which the GPU bench writes.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from chrion import planning
from chrion_api import Profile
from chrion_bench.modelled import with_gpu
from chrion_bench.suite import suite
from chrion_bench.workplace import workplace
from chrion_graph.files import write_aside
from chrion_planner.planner import make_profile

PROFILES = Path(__file__).resolve().parents[1] / "profiles"
MODELS = ("gru-bidirectional-l2-h128-s32-b1", "lstm-forward-l2-h256-s32-b8", "crnn-c16-h48-w320-b1")
"""Many small steps, a few wide ones, and convolutions before recurrent layers."""

MOST_BYTES = 2 << 20
"""What the file of a GPU may hold: profiles of models that come first, as far as they fit."""


@dataclass(frozen=True)
class Recorded:
    """A profile of a model of the suite, and the file that it is in."""

    model: str
    file: Path
    profile: Profile

    @property
    def name(self) -> str:
        """The model and the devices."""
        _, dot, devices = self.file.stem.partition(".")
        return f"{self.model}.{devices if dot else self.file.stem}"


def recorded(folder: Path = PROFILES) -> Iterator[Recorded]:
    """Every profile in a folder, of one model a file or of several. Raises InvalidDocument where one is damaged."""
    for file in sorted(folder.glob("*.json")):
        content = json.loads(file.read_text(encoding="utf-8"))
        several = content.get("profiles", {file.name.partition(".")[0]: content})
        for model, data in several.items():
            yield Recorded(model, file, Profile.from_json(json.dumps(data), str(file)))


def together(profiles: Mapping[str, Profile]) -> str:
    """The profiles of several models as one file, by the models' names; what does not fit is left out."""
    texts: dict[str, str] = {}
    for model, profile in profiles.items():
        text = profile.to_json()
        if sum(map(len, texts.values())) + len(text) <= MOST_BYTES:
            texts[model] = text
    return json.dumps({"profiles": {model: json.loads(text) for model, text in texts.items()}}, indent=1) + "\n"


def main() -> None:
    """The command line."""
    entries = {entry.name: entry for entry in suite()}
    for name in MODELS:
        with workplace() as folder:
            model = folder / "model.onnx"
            entries[name].write(model)
            job = planning.PlanningTask(model, entries[name].inputs, devices=("cpu",))
            prepared = job.prepare()
            measured = make_profile(prepared, job.settings())
            _write(f"{name}.cpu.json", measured)
            _write(f"{name}.modelled-h100.json", with_gpu(prepared, measured))


def _write(file: str, profile: Profile) -> None:
    write_aside(PROFILES / file, profile.to_json())
    print(PROFILES / file)


if __name__ == "__main__":
    main()
