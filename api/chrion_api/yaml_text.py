"""YAML as the JSON that it stands for: bounded before anything is built of it, aliases counted as what they name."""

import json
import re
from dataclasses import dataclass

import yaml

from chrion_api.errors import InvalidDocument

MAX_BYTES = 1 << 20
MAX_VALUES = 20_000
"""Values in a document, those behind aliases counted each time: a few lines of aliases can stand for a billion."""
MAX_DEPTH = 64

_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-9]+){50}")
"""What YAML 1.1 reads as one number, 1:59:59:…, in time that grows with the square of its length."""
# In C where there is one, which takes a tenth of the time.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def yaml_to_json(text: str | bytes, source: str) -> str:
    """The JSON of a YAML document; `source` names the file in errors. Raises InvalidDocument."""
    if len(text) > MAX_BYTES:
        raise InvalidDocument(f"{source}: is larger than {MAX_BYTES >> 20} MiB, the limit for such a file")
    try:
        if problem := _excess(text):
            raise InvalidDocument(f"{source}: {problem}")
        value = yaml.load(text, Loader=_LOADER)  # noqa: S506, one of the safe ones
        found = json.dumps(value, ensure_ascii=False, default=str)  # a date is its text, as for Kubernetes
        found.encode()  # which halves of surrogate pairs refuse
    except UnicodeEncodeError:
        raise InvalidDocument(f"{source}: not valid YAML: contains an unpaired surrogate, which is not text") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:  # ValueError: a date that is none
        raise InvalidDocument(f"{source}: not valid YAML: {' '.join(str(error).split())}") from None
    return found


@dataclass
class _Size:
    """What a node comes to, aliases followed."""

    anchor: str | None = None
    values: int = 1
    depth: int = 0
    """Of what is inside it."""

    def add(self, inner: "_Size") -> None:
        self.values += inner.values
        self.depth = max(self.depth, inner.depth + 1)


def _excess(text: str | bytes) -> str:
    """What is too much of a document, read event by event; "" where nothing is. Raises YAMLError."""
    whole: dict[str | None, _Size] = {}
    """By anchor, the nodes that have ended."""
    open_ = [_Size()]
    for event in yaml.parse(text, Loader=_LOADER):
        match event:
            case yaml.CollectionStartEvent():
                whole.pop(event.anchor, None)
                open_.append(_Size(event.anchor))
            case yaml.ScalarEvent() if event.implicit[0] and _SEXAGESIMAL.match(event.value):
                return "contains a base-60 number of more than 50 digits"
            case yaml.ScalarEvent():
                open_[-1].add(_Size())
                whole[event.anchor] = _Size()
            case yaml.CollectionEndEvent():
                ended = open_.pop()
                open_[-1].add(ended)
                whole[ended.anchor] = ended
            case yaml.AliasEvent():
                if event.anchor not in whole:
                    return f'the alias "*{str(event.anchor)[:60]}" refers to itself or to nothing'
                open_[-1].add(whole[event.anchor])
        if sum(size.values for size in open_) > MAX_VALUES:
            return f"holds more than {MAX_VALUES:,} values"
        if max(level + size.depth for level, size in enumerate(open_)) > MAX_DEPTH:
            return f"is nested deeper than {MAX_DEPTH} levels"
    return ""
