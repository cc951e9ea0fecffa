"""One report of plans for every reader: `chrion explain` in the terminal, its page, and the page that a server shows.

`model` holds what a report says, computed once; `format` how numbers and names are written; `svg` draws pictures,
`html` writes pages, `text` prints to a terminal.
"""

from importlib import resources


def style() -> str:
    """The style sheet that all pages and pictures share; light and dark."""
    return resources.files("chrion_runtime.report").joinpath("style.css").read_text(encoding="utf-8")
