"""What `helm test` makes, and that the model it serves answers what it is compared with."""

import base64
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from chrion_api import ChrionModel
from tests.chart.value_sets import VALUE_SETS
from tests.support.chart import CHART, Chart, render
from tests.support.scripts import script

FILES = CHART / "files" / "test"


def test_nothing_but_a_pod_is_made_without_a_model(chart: Chart) -> None:
    hooks = [each for each in render(chart, {}).objects if "helm.sh/hook" in each["metadata"].get("annotations", {})]
    assert [each["kind"] for each in hooks] == ["Pod"]


@pytest.mark.parametrize(("values", "namespace"), [("tested", "chrion-system"), ("tested elsewhere", "team-a")])
def test_model_is_made_where_the_operator_looks(chart: Chart, values: str, namespace: str) -> None:
    rendered = render(chart, VALUE_SETS[values])
    hooks = [each for each in rendered.objects if "helm.sh/hook" in each["metadata"].get("annotations", {})]
    assert {each["metadata"]["namespace"] for each in hooks} == {namespace}
    by_weight = sorted(hooks, key=lambda each: int(each["metadata"]["annotations"]["helm.sh/hook-weight"]))
    assert [each["kind"] for each in by_weight][-2:] == ["ChrionModel", "Pod"]
    model = ChrionModel.model_validate(rendered.one("ChrionModel"))
    config = rendered.one("ConfigMap", "chrion-test")
    assert model.spec.model.uri == f"configmap://{config['metadata']['name']}/model.onnx"
    assert base64.b64decode(config["binaryData"]["model.onnx"]) == (FILES / "model.onnx").read_bytes()
    compile(config["data"]["infer.py"], "infer.py", "exec")


def test_more_of_the_spec_is_merged(chart: Chart) -> None:
    spec = render(chart, VALUE_SETS["tested"]).one("ChrionModel")["spec"]
    assert spec["planner"]["tolerations"] == [{"operator": "Exists"}]
    assert spec["planner"]["timeout"] == "1m"


def test_answer_is_what_onnx_runtime_answers() -> None:
    (tensor,) = json.loads((FILES / "request.json").read_text())["inputs"]
    values = np.array(tensor["data"], np.float32).reshape(tensor["shape"])
    session = onnxruntime.InferenceSession(FILES / "model.onnx", providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {tensor["name"]: values})
    np.testing.assert_allclose(answer.ravel(), json.loads((FILES / "answer.json").read_text())["output"], atol=1e-5)


def test_model_is_what_its_script_makes(tmp_path: Path) -> None:
    script(CHART.parent / "tiny_model.py").write(tmp_path)
    for name in ("model.onnx", "request.json"):
        assert (tmp_path / name).read_bytes() == (FILES / name).read_bytes(), "run `python charts/tiny_model.py`"
