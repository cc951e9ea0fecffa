"""Lays out what the site is built of: README, docs and all that they link to, where they lie in the repository.

So the same links hold on the site. A folder that is linked to and has no README gets a page that lists its files.
`python docs/gather.py FOLDER` writes it.
"""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[1]
MARKDOWN = MarkdownIt("commonmark").enable("table")


class BrokenLink(Exception):
    """A page links to what is not there."""


def targets(text: str) -> Iterator[str]:
    """What the links and pictures of a page lead to, other sites left out."""
    for block in MARKDOWN.parse(text):
        for token in block.children or ():
            found = token.attrGet("src" if token.type == "image" else "href")
            if found and not urlsplit(str(found)).scheme:
                yield unquote(str(found))


def reached(root: Path) -> set[Path]:
    """The files and folders, relative to `root`, that README and docs lead to. Raises BrokenLink."""
    waiting = [root / "README.md", *(root / "docs").rglob("*.md")]
    found: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += listed(path) if path.is_dir() else linked(root, path)
    return {path.relative_to(root) for path in found}


def linked(root: Path, page: Path) -> list[Path]:
    """The files and folders that a page links to; none where it is no page. Raises BrokenLink."""
    found = []
    for target in targets(page.read_text(encoding="utf-8")) if page.suffix == ".md" else ():
        path = (page.parent / urlsplit(target).path).resolve() if urlsplit(target).path else page
        if not path.exists() or not path.is_relative_to(root):
            raise BrokenLink(f"{page.relative_to(root)}: links to {target}, which is not there")
        found.append(path)
    return found


def listed(folder: Path) -> list[Path]:
    """What a link to a folder shows: its README, else its pages, else its files."""
    if (readme := folder / "README.md").is_file():
        return [readme]
    return sorted(folder.glob("*.md")) or sorted(path for path in folder.iterdir() if path.is_file())


def listing(title: str, names: list[str]) -> str:
    """A page that lists files."""
    return f"# {title}\n\n" + "".join(f"- [{name}]({name})\n" for name in names)


def write(root: Path, folder: Path) -> None:
    """Write all that is reached into a new `folder`. Raises BrokenLink."""
    shutil.rmtree(folder, ignore_errors=True)
    for path in sorted(reached(root)):
        copy = folder / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not (root / path).is_dir():
            shutil.copyfile(root / path, copy)
        elif not (root / path / "README.md").is_file():
            copy.mkdir(exist_ok=True)
            names = [file.name for file in listed(root / path)]
            (copy / "index.md").write_text(listing(f"{path}/", names), encoding="utf-8")


if __name__ == "__main__":
    try:
        write(ROOT, Path(sys.argv[1]))
    except BrokenLink as error:
        sys.exit(str(error))
