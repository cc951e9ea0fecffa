"""The errors of fetching a model.

ChrionError
└── RuntimeFailure
    └── FetchError          anything that keeps a model from being fetched
        ├── ModelNotFound   the URI leads nowhere
        ├── AccessDenied    the store refuses the credentials, or asks for some
        ├── FetchRefused    the URI or a redirect leads where models are not fetched from
        ├── ModelTooLarge        more bytes than the limit
        ├── DigestMismatch  other bytes than were asked for
        └── Unreachable     the store does not answer, or not as it should; may pass
"""

from chrion_runtime.errors import RuntimeFailure


class FetchError(RuntimeFailure):
    """Anything that keeps a model from being fetched."""


class ModelNotFound(FetchError):
    """The URI leads nowhere."""


class AccessDenied(FetchError):
    """The store refuses the credentials, or asks for some."""


class FetchRefused(FetchError):
    """The URI or a redirect leads where models are not fetched from."""


class ModelTooLarge(FetchError):
    """More bytes than the limit."""


class DigestMismatch(FetchError):
    """Other bytes than were asked for."""


class Unreachable(FetchError):
    """The store does not answer, or not as it should; the only one that is worth another try."""

    def __init__(self, text: str, after: float = 0.0) -> None:
        """`after`: seconds that the store asks to wait."""
        super().__init__(text)
        self.after = after
