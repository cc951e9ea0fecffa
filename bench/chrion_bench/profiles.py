"""Write the profiles in bench/profiles, on which plans are made offline: `python -m chrion_bench.profiles`.

Two for each of a few models: its CPU profile as measured here, and the same with a modelled GPU beside it. They hold
every rewritten graph, so they are made anew when rewrites or the profile's format change.
"""

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


def main() -> None:
    """The command line."""
    entries = {entry.name: entry for entry in suite()}
    for name in MODELS:
        with workplace() as folder:
            model = folder / "model.onnx"
            entries[name].write(model)
            job = planning.Job(model, entries[name].inputs, devices=("cpu",))
            prepared = job.prepare()
            measured = make_profile(prepared, job.settings())
            _write(f"{name}.cpu.json", measured)
            _write(f"{name}.modelled-h100.json", with_gpu(prepared, measured))


def _write(file: str, profile: Profile) -> None:
    write_aside(PROFILES / file, profile.to_json())
    print(PROFILES / file)


if __name__ == "__main__":
    main()
