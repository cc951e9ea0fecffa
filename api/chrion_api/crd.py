"""What the CRD says of a field beyond its type, declared at the field: rules in CEL, bounds, the key of a list.

Servers that lack CEL (before 1.25) drop the rules, so beside each stands a validator that says the same. Text and lists
that a rule reads have a largest length, for the server bounds what a rule may cost.
"""

from pydantic.config import JsonDict
from pydantic.types import JsonValue

CRD = "x-crd"
"""The keyword that holds it in a type's JSON Schema: for the CRD's generator, and in no schema that is written."""


def in_crd(*rules: tuple[str, str], key: str = "", **keywords: JsonValue) -> JsonDict:
    """A field's `json_schema_extra` for the CRD alone.

    `rules` are CEL and the message for who breaks it, `key` is the field that tells a list's entries apart, `keywords`
    are added to the field's schema; None takes one away.
    """
    return {CRD: {"rules": [list(rule) for rule in rules], "key": key, "keywords": keywords}}
