"""The site: its navigation has every page, the reference every name, and it builds without a warning."""

import importlib
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml

import chrion
from tests.support.pages import GATHER, ROOT

CONFIG = ROOT / "zensical.toml"
REFERENCE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
ENTRY = re.compile(r"^::: ([\w.]+)\n((?:    .*\n)*)", re.MULTILINE)


def pages(nav: Any) -> Iterator[str]:
    """The pages of a navigation, however deep."""
    for entry in nav:
        for target in entry.values():
            yield from [target] if isinstance(target, str) else pages(target)


def test_navigation_has_every_page_once():
    named = list(pages(tomllib.loads(CONFIG.read_text(encoding="utf-8"))["project"]["nav"]))
    assert len(named) == len({*named})
    assert all((ROOT / page).is_file() for page in named)
    assert {str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md")} <= {*named}


def test_index_has_every_page():
    linked = {*GATHER.linked(ROOT, ROOT / "docs" / "index.md")}
    assert {*(ROOT / "docs").rglob("*.md")} <= {*linked, ROOT / "docs" / "index.md"}


def test_reference_has_what_is_exported():
    told = {name for name, _ in ENTRY.findall(REFERENCE)}
    assert {f"chrion.{name}" for name in chrion.__all__ if name != "__version__"} <= told


@pytest.mark.parametrize(("name", "below"), ENTRY.findall(REFERENCE))
def test_what_the_reference_names_exists(name, below):
    module, _, attribute = name.rpartition(".")
    found = getattr(importlib.import_module(module), attribute)
    members = (yaml.safe_load(below) or {}).get("options", {}).get("members", [])
    assert all(hasattr(found, member) for member in members)


class Page(HTMLParser):
    """What a built page links to, and the anchors that it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.targets: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.targets.update(filter(None, (found.get("href"), found.get("src"))))
        self.anchors.update(filter(None, (found.get("id"), found.get("name"))))


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built with warnings as errors."""
    for module in ("zensical", "mkdocstrings_handlers.python"):
        pytest.importorskip(module, reason="the extra docs is not installed: `make docs` installs it")
    root = tmp_path_factory.mktemp("site")
    (root / CONFIG.name).write_bytes(CONFIG.read_bytes())
    for folder in ("api", "graph", "runtime", "planner", "cli"):
        (root / folder).symlink_to(ROOT / folder)
    GATHER.write(ROOT, root / "build" / "pages")
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict"], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return root / "build" / "site"


def test_links_of_the_site_lead_somewhere(site):
    built = {path: Page(path) for path in site.rglob("*.html")}
    assert len(built) > 30
    for path, page in built.items():
        if path.name == "404.html":
            continue
        for target in map(urlsplit, page.targets):
            if target.scheme or target.netloc:
                continue
            found = (path.parent / unquote(target.path)).resolve() if target.path else path
            found = found / "index.html" if found.is_dir() else found
            assert found.is_file(), f"{path.relative_to(site)}: {target.geturl()}"
            if target.fragment and found in built:
                assert unquote(target.fragment) in built[found].anchors, f"{path.relative_to(site)}: {target.geturl()}"


def test_the_site_asks_no_other_host(site):
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r'<(?:script|img)[^>]* src="https?:|<link[^>]* rel="stylesheet"[^>]* href="https?:', text)


def test_reference_and_search_are_there(site):
    text = (site / "docs" / "python" / "index.html").read_text(encoding="utf-8")
    assert 'id="chrion.plan"' in text
    assert 'id="chrion.Session.run"' in text
    assert ":::" not in text
    searched = json.loads((site / "search.json").read_text(encoding="utf-8"))
    assert "Plan a model on this machine" in json.dumps(searched)
