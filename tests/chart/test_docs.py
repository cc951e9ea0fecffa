"""What the operator's documentation shows is so: examples can be used, and every reason is told of."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from chrion_api import ChrionModel
from chrion_api.status import ConditionType, Reason

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "operator").glob("*.md"))
BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def models(text: str) -> Iterator[dict[str, Any]]:
    """The ChrionModels among the YAML documents of a text."""
    for document in yaml.safe_load_all(text):
        if isinstance(document, dict) and document.get("kind") == "ChrionModel":
            yield document


@pytest.mark.parametrize("path", sorted((ROOT / "examples").rglob("*.yaml")), ids=lambda path: path.name)
def test_examples_can_be_used(path: Path) -> None:
    for model in models(path.read_text(encoding="utf-8")):
        ChrionModel.model_validate(model)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_yaml_in_the_pages_can_be_used(page: Path) -> None:
    for block in BLOCK.findall(page.read_text(encoding="utf-8")):
        for model in models(block):
            ChrionModel.model_validate(model)


def test_every_reason_has_what_to_do() -> None:
    text = (ROOT / "docs" / "operator" / "operations.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \|$", text, re.MULTILINE)
    assert {reason.value for reason in Reason} <= {*told}


def test_every_condition_is_explained() -> None:
    text = (ROOT / "docs" / "operator" / "concepts.md").read_text(encoding="utf-8")
    assert {kind.value for kind in ConditionType} <= {*re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)}


def test_reasons_that_are_told_of_exist() -> None:
    named = {
        name for page in PAGES for name in re.findall(r"(?:=False|=True), (\w+)`", page.read_text(encoding="utf-8"))
    }
    assert named <= {reason.value for reason in Reason}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "docs" / "index.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
