"""The errors of loading, checking, rewriting and cutting models.

ChrionError
└── ModelError          anything about a model
    ├── InvalidModel    not an ONNX model, or one that cannot be loaded or run
    ├── UnsafeModel     external data that leads outside the model's folder
    ├── LimitExceeded   larger, slower or hungrier than the limits allow
    ├── InputMismatch   input names or shapes that do not fit the model
    └── RewriteError    a rewrite that cannot be replayed on this graph
"""

from chrion_api import ChrionError


class ModelError(ChrionError):
    """Anything about a model."""


class InvalidModel(ModelError):
    """Not an ONNX model, or one that cannot be loaded or run."""


class UnsafeModel(ModelError):
    """External data that leads outside the model's folder."""


class LimitExceeded(ModelError):
    """Larger, slower or hungrier than the limits allow."""


class InputMismatch(ModelError):
    """Input names or shapes that do not fit the model."""


class RewriteError(ModelError):
    """A rewrite that cannot be replayed on this graph."""
