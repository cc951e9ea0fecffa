"""Fetch models over the network, from volumes and from the image, trusting neither where they are nor what they are."""

from chrion_runtime.fetch.addresses import Allowed
from chrion_runtime.fetch.errors import (
    AccessDenied,
    DigestMismatch,
    FetchError,
    FetchRefused,
    ModelNotFound,
    ModelTooLarge,
    Unreachable,
)
from chrion_runtime.fetch.fetch import Fetched, Wanted, fetch
from chrion_runtime.fetch.patience import Patience

__all__ = [
    "AccessDenied",
    "Allowed",
    "DigestMismatch",
    "FetchError",
    "FetchRefused",
    "Fetched",
    "ModelNotFound",
    "ModelTooLarge",
    "Patience",
    "Unreachable",
    "Wanted",
    "fetch",
]
