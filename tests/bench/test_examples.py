"""The examples parse, and fit the models that they name."""

from pathlib import Path

import onnxruntime
import pytest

from chrion_api import ChrionModel
from chrion_models.inputs import random_inputs

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(path: Path, models_dir: Path) -> None:
    spec = ChrionModel.from_yaml(path.read_text(encoding="utf-8"), path.name).spec
    file = (path.parent / spec.model.uri.removeprefix("file://")).resolve()
    assert file.parent == models_dir
    values = {entry.name: entry.value for entry in spec.inputs if entry.value is not None}
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    for bucket in range(max(len(entry.buckets) for entry in spec.inputs)):
        shapes = {entry.name: entry.buckets[bucket if len(entry.buckets) > 1 else 0] for entry in spec.inputs}
        inputs = random_inputs(file, shapes, values)
        outputs = dict(zip((value.name for value in session.get_outputs()), session.run(None, inputs), strict=True))
        for link in spec.state:
            assert outputs[link.output].shape == inputs[link.input].shape
