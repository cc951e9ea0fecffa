"""Plans and frontiers as pictures in SVG and as words: for `chrion explain`, and for the page that a server shows."""

from importlib import resources


def style() -> str:
    """The style sheet of the pictures, and of the text and tables beside them; light and dark."""
    return resources.files("chrion_runtime.drawing").joinpath("style.css").read_text(encoding="utf-8")
