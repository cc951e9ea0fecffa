"""The operator's documentation tells of every reason and condition, and of no other."""

import re
from pathlib import Path

from chrion_api.status import ConditionType, Reason

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "operator").glob("*.md"))


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
