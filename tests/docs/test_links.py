"""What pages link to is there: files, folders, and headings of pages."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.pages import GATHER, PAGES, ROOT, anchors


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    for target in GATHER.targets(page.read_text(encoding="utf-8")):
        where = urlsplit(target)
        path = (page.parent / where.path).resolve() if where.path else page
        assert path.exists(), target
        assert not where.fragment or where.fragment in anchors(path), target


def test_all_that_docs_lead_to_is_gathered(tmp_path):
    GATHER.write(ROOT, tmp_path / "pages")
    gathered = {path.relative_to(tmp_path / "pages") for path in (tmp_path / "pages").rglob("*")}
    assert {path.relative_to(ROOT) for path in (ROOT / "docs").rglob("*.md")} <= gathered
    assert {Path("README.md"), Path("examples/nsnet2.yaml"), Path("bench/profiles/README.md")} <= gathered
    assert Path("pyproject.toml") not in gathered, "nothing links to it"
    schemas = (tmp_path / "pages" / "docs" / "schema" / "index.md").read_text()
    assert "- [plan.schema.json](plan.schema.json)\n" in schemas, "a folder without a README is listed"


@pytest.mark.parametrize("target", ["missing.md", "docs/missing.md#there", "../outside.md", "docs/folder/"])
def test_a_link_that_leads_nowhere_ends_the_gathering(tmp_path, target):
    (tmp_path / "root" / "docs").mkdir(parents=True)
    (tmp_path / "outside.md").touch()
    (tmp_path / "root" / "README.md").write_text(f"See [it]({target}) and [a site](https://example.com/missing.md).")
    with pytest.raises(GATHER.BrokenLink, match=r"^README\.md: links to .*, which is not there$"):
        GATHER.write(tmp_path / "root", tmp_path / "pages")


def test_code_is_no_link():
    text = "`[a](b.md)`\n\n```\n[c](d.md)\n```\n\n[e](f%20g.md) ![h](i.svg)\n"
    assert list(GATHER.targets(text)) == ["f g.md", "i.svg"]
