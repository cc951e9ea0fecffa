"""The operator's errors.

ChrionError
└── OperatorError           anything that goes wrong in the operator
    ├── InvalidSetting      an environment variable that cannot be used; the operator does not start
    ├── UnservablePlan      a ConfigMap whose plan cannot be served; carries the reason for the condition
    ├── NotOurs             somebody else's object has the name of one that is to be made
    └── LeftOver            so has one that the server is still deleting; it is waited for

A spec that cannot be used on this cluster is an `InvalidField` of the vocabulary: it names the field.
"""

from chrion_api import ChrionError, Reason


class OperatorError(ChrionError):
    """Anything that goes wrong in the operator and that a user can act on."""


class InvalidSetting(OperatorError):
    """An environment variable of the operator whose value cannot be used."""


class NotOurs(OperatorError):
    """Somebody else's object has the name of one that is to be made; nothing of it is touched."""


class LeftOver(OperatorError):
    """An object that is being deleted has the name of one that is to be made."""


class UnservablePlan(OperatorError):
    """A plan that cannot be served, with the reason that the condition gives."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    def __reduce__(self) -> tuple[type["UnservablePlan"], tuple[Reason, str]]:
        return type(self), (self.reason, self.message)
