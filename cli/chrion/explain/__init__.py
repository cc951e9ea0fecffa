"""Shows a plan file to a person: stages, predicted schedule and frontier, in the terminal or as one HTML page."""

from chrion.explain.page import html
from chrion.explain.terminal import show

__all__ = ["html", "show"]
