"""ChrionModels in examples and pages can be used."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from chrion_api import ChrionModel
from tests.support.pages import PAGES, ROOT, fences


def models(text: str) -> Iterator[dict[str, Any]]:
    """The ChrionModels among the YAML documents of a text."""
    for document in yaml.safe_load_all(text):
        if isinstance(document, dict) and document.get("kind") == "ChrionModel":
            yield document


@pytest.mark.parametrize("path", sorted((ROOT / "examples").rglob("*.yaml")), ids=lambda path: path.name)
def test_examples_can_be_used(path: Path) -> None:
    for model in models(path.read_text(encoding="utf-8")):
        ChrionModel.model_validate(model)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_yaml_in_the_pages_can_be_used(page: Path) -> None:
    for fence in fences(page):
        if fence.language == "yaml":
            for model in models(fence.text):
                ChrionModel.model_validate(model)
