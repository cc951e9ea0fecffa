"""The catalogue of published models is sound, and its page lists what it holds."""

import re
from collections import Counter
from pathlib import Path

from chrion_models.catalogue import CATALOGUE, shipped_by
from chrion_models.real import REAL_MODELS

PAGE = Path(__file__).parents[2] / "docs" / "real-models.md"


def test_no_two_models_share_a_file() -> None:
    files = Counter(model.file for model in (*REAL_MODELS, *CATALOGUE))
    assert [file for file, times in files.items() if times > 1] == []


def test_every_model_has_a_digest_and_values_for_inputs_with_a_shape() -> None:
    for model in CATALOGUE:
        assert re.fullmatch(r"[0-9a-f]{64}", model.sha256), model.file
        assert model.values.keys() <= model.inputs.keys(), model.file
        assert [spec.name for spec in model.specs] == list(model.inputs), model.file


def test_a_package_brings_all_of_its_models() -> None:
    assert {model.file for package in {model.package for model in CATALOGUE} for model in shipped_by(package)} == {
        model.file for model in CATALOGUE
    }


def test_page_lists_the_catalogue_in_order() -> None:
    rows = [line.split(" | ")[:4] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    listed = [[f"| `{model.file}`", str(model.package), model.kind, model.traits] for model in CATALOGUE]
    assert rows == listed
