"""The CustomResourceDefinition; `python -m chrion_operator.crd` writes it and its reference."""

from chrion_operator.crd.definition import FILE, definition, text

__all__ = ["FILE", "definition", "text"]
