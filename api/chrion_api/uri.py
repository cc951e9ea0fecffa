"""Model URIs: their schemes, and how each is written."""

import re
from typing import Annotated
from urllib.parse import unquote

from pydantic import AfterValidator, Field

from chrion_api import redact
from chrion_api.crd import in_crd
from chrion_api.names import KEY, LONGEST_SUBDOMAIN, SUBDOMAIN
from chrion_api.units import shown

URI_SCHEMES = ("https", "hf", "s3", "gs", "pvc", "oci", "configmap", "file")

_TEXT = r"[^\x00-\x1f\x7f]"
_HUB_NAME = r"[A-Za-z0-9_]([-._A-Za-z0-9]{0,94}[A-Za-z0-9_])?"
_HUB_PATH = r"[^/@?#\x00-\x1f\x7f]+(/[^/@?#\x00-\x1f\x7f]+)*"
_FORMS = {
    "hf": (rf"{_HUB_NAME}/{_HUB_NAME}/{_HUB_PATH}(@{_HUB_PATH})?", "hf://OWNER/REPO/PATH[@REVISION]"),
    "pvc": (rf"{SUBDOMAIN}/{_TEXT}+", "pvc://CLAIM/PATH"),
    "configmap": (rf"{SUBDOMAIN}/{KEY}", "configmap://NAME/KEY"),
    "oci": (r"[^#\x00-\x20\x7f]+#" + rf"{_TEXT}+", "oci://IMAGE#PATH"),
}
"""What follows the scheme where a part of it names an object, and the form as people read it."""
_OTHERS = "|".join(scheme for scheme in URI_SCHEMES if scheme not in _FORMS)

URI_PATTERN = "|".join([f"({_OTHERS})://{_TEXT}+", *(f"{scheme}://{form}" for scheme, (form, _) in _FORMS.items())])
"""What every model URI matches."""


def checked_uri(uri: str) -> str:
    """The URI itself. Raises ValueError that says how it is to be written."""
    scheme, _, rest = uri.partition("://")
    public = shown(redact.shown(uri))
    if scheme not in URI_SCHEMES or not rest:
        known = ", ".join(f"{scheme}://" for scheme in URI_SCHEMES)
        raise ValueError(f"{public} is not a model URI; it must start with one of {known}")
    if not re.fullmatch(f"{_TEXT}+", rest):
        raise ValueError(f"{public} contains a control character")
    if scheme in _FORMS:
        pattern, form = _FORMS[scheme]
        name, _, path = rest.partition("#" if scheme == "oci" else "/")
        if not re.fullmatch(pattern, rest) or (scheme != "oci" and len(name) > LONGEST_SUBDOMAIN):
            raise ValueError(f"{public} is not of the form {form}")
        if {".", ".."} & set(re.split("[/@]" if scheme == "hf" else "/", unquote(path))):
            raise ValueError(f"{public} leads out of {'the repository' if scheme == 'hf' else 'the mounted volume'}")
    return uri


def _rule(scheme: str, rest: str, form: str = "") -> tuple[str, str]:
    form = form or _FORMS[scheme][1]
    return f"!self.startsWith('{scheme}://') || self.matches('^{scheme}://{rest}')", f"{scheme}:// is written {form}"


ModelUri = Annotated[
    str,
    AfterValidator(checked_uri),
    Field(
        json_schema_extra={
            "pattern": f"^({URI_PATTERN})$",
            **in_crd(
                _rule("hf", "[^/]+/[^/]+/."),
                _rule("pvc", "[^/]+/."),
                _rule("configmap", "[^/]+/."),
                _rule("oci", "[^#]+#."),
                # Of a cluster alone: elsewhere a path may be relative.
                _rule("file", "/", "file:///PATH, a path inside the image"),
                maxLength=4096,
            ),
        }
    ),
]
"""A model's URI, in one of the forms above."""
