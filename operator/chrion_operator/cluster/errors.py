"""What can go wrong between the operator and the API server.

OperatorError
└── ApiError                the API server refused a request; its own sentence
    ├── ApiNotFound         the object, or its kind, is not there
    ├── ApiConflict         somebody else changed it, or holds what was to be set
    ├── ApiGone             a watch that is too old to go on
    ├── ApiAnswerTooLarge   an answer of more bytes than are read
    └── ApiUnavailable      no answer
"""

from chrion_operator.errors import OperatorError


class ApiError(OperatorError):
    """The API server refused a request; `code` is the HTTP status, 0 where there was no answer."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[type["ApiError"], tuple[str, int]]:
        return type(self), (str(self), self.code)


class ApiNotFound(ApiError):
    """The object is not there, or the server does not know its kind."""


class ApiConflict(ApiError):
    """The object was changed meanwhile, exists already, or another manager holds a field that was to be set."""


class ApiGone(ApiError):
    """What was watched from is too long ago; list again."""


class ApiAnswerTooLarge(ApiError):
    """The API server's answer is larger than what is read of one."""


class ApiUnavailable(ApiError):
    """The API server gave no answer."""
