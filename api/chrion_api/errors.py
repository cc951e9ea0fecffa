"""The root of Chrion's errors, and the errors of reading a document.

ChrionError                 anything a user can act on: one line, no traceback
└── InvalidDocument         a document that cannot be read at all
    └── InvalidField        a field that is missing, unknown or has a wrong value
"""


class ChrionError(Exception):
    """An error a user can act on; its text is one line that says what is wrong and what to do."""


class InvalidDocument(ChrionError):
    """A document that is not YAML, not JSON, or not the kind that was asked for."""


class InvalidField(InvalidDocument):
    """A field whose value cannot be used, named by its path from the document's root."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.path = path
        self.problem = problem

    def __reduce__(self) -> tuple[type["InvalidField"], tuple[str, str]]:
        return type(self), (self.path, self.problem)
