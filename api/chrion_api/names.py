"""Names of objects and resources as Kubernetes has them: what is none never becomes part of a request or a path."""

import re
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from chrion_api.units import shown

LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = rf"{LABEL}(\.{LABEL})*"
"""RFC 1123: lowercase letters, digits and `-` between dots, at most 253 characters."""

LONGEST_LABEL, LONGEST_SUBDOMAIN = 63, 253

KEY = r"[-._a-zA-Z0-9]+"
"""A key of a ConfigMap, at most 253 characters."""

_RESOURCE = rf"({SUBDOMAIN}/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?"


def is_subdomain(text: str) -> bool:
    """Whether a text can be the name of most kinds of objects."""
    return len(text) <= LONGEST_SUBDOMAIN and re.fullmatch(SUBDOMAIN, text) is not None


def _name(text: str) -> str:
    if not is_subdomain(text):
        raise ValueError(f'{shown(text)} is not the name of an object: use lowercase letters, digits, "-" and "."')
    return text


def _namespace(text: str) -> str:
    if len(text) > LONGEST_LABEL or not re.fullmatch(LABEL, text):
        raise ValueError(f'{shown(text)} is not the name of a namespace: use lowercase letters, digits and "-"')
    return text


def _queue(text: str) -> str:
    if text and (len(text) > LONGEST_LABEL or not is_subdomain(text)):
        raise ValueError(f'{shown(text)} is not a queue name: use up to 63 lowercase letters, digits, "-" and "."')
    return text


def _resource(text: str) -> str:
    if len(text) > LONGEST_SUBDOMAIN or not re.fullmatch(_RESOURCE, text):
        raise ValueError(f"{shown(text)} is not the name of an extended resource such as nvidia.com/gpu")
    return text


ObjectName = Annotated[
    str,
    AfterValidator(_name),
    WithJsonSchema({"type": "string", "pattern": f"^{SUBDOMAIN}$", "maxLength": LONGEST_SUBDOMAIN}),
]
"""The name of an object: a DNS subdomain."""

NamespaceName = Annotated[
    str,
    AfterValidator(_namespace),
    WithJsonSchema({"type": "string", "pattern": f"^{LABEL}$", "maxLength": LONGEST_LABEL}),
]
"""The name of a namespace: a DNS label."""

QueueName = Annotated[
    str,
    AfterValidator(_queue),
    WithJsonSchema({"type": "string", "pattern": f"^({SUBDOMAIN})?$", "maxLength": LONGEST_LABEL}),
]
"""The name of a queue, which is also a label's value; empty for none."""

ResourceName = Annotated[
    str,
    AfterValidator(_resource),
    WithJsonSchema({"type": "string", "pattern": f"^{_RESOURCE}$", "maxLength": LONGEST_SUBDOMAIN}),
]
"""The name of an extended resource, with its domain; empty for none."""
