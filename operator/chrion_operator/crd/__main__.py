"""Write the CRD into each folder that the command line names, and its reference into each Markdown file."""

import sys
from pathlib import Path

from chrion_operator.crd.definition import FILE, text
from chrion_operator.crd.reference import reference

USAGE = "usage: python -m chrion_operator.crd FOLDER|PAGE.md..."


def main() -> None:
    """Write what the command line asks for."""
    if len(sys.argv) < 2:
        sys.exit(USAGE)
    for target in map(Path, sys.argv[1:]):
        if target.suffix == ".md":
            target.write_text(reference(), encoding="utf-8")
        else:
            target.mkdir(parents=True, exist_ok=True)
            (target / FILE).write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
