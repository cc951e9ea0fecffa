"""Reading: the API server's JSON as objects, each by itself and within bounds, for namespaces write what stands in it.

What is too deep or too large of an object is `UnreadablePart` in its place, so that one object never hides the others
and what can be said of it can be said: the API server takes objects that are nested 10,000 deep, and of three MiB.
"""

from collections.abc import Iterator
from contextlib import suppress

import orjson

from chrion_api.bounds import BRACKET, excess
from chrion_operator.names import Object, UnreadablePart

MAX_BYTES = 512 << 10
"""The largest part of an object but for the data of a ConfigMap."""
MAX_VALUES = 20_000
"""The values of a part; a whole pod with its managers has a tenth."""
_DATA = frozenset({"data", "binaryData"})
_IGNORED = frozenset({"managedFields"})
"""As deep and as large as the rest of the object together, and nobody reads them."""


def read_object(text: bytes) -> Object:
    """One object. Raises ValueError for what is none."""
    if len(text) <= MAX_BYTES and not excess(text, MAX_VALUES):
        with suppress(orjson.JSONDecodeError):
            return _object(orjson.loads(text))
    return {name: _read_metadata(part) if name == "metadata" else _read(name, part) for name, part in _parts(text)}


def read_list(text: bytes) -> tuple[Iterator[Object], Object]:
    """The items of a list, made one by one as they are asked for, and the list's own metadata. Raises ValueError."""
    spans = [*_spans(text, 2)]
    begin, end = next((span[1:] for span in spans if span[0] == 1 and text.startswith(b"[", span[1])), (0, 0))
    rest = _object(orjson.loads(text[:begin] + b"null" + text[end:] if end else text))
    items = (_item(text[first:last]) for level, first, last in spans if level == 2 and begin < first < end)
    return items, rest.get("metadata") or {}


def read_event(text: bytes) -> tuple[str, Object]:
    """The type and the object of a line of a watch. Raises ValueError, KeyError."""
    parts = dict(_parts(text))
    return str(orjson.loads(parts["type"])), _item(parts["object"])


def _item(text: bytes) -> Object:
    """One object of many: the others go on without one that cannot be read at all."""
    try:
        return read_object(text)
    except ValueError:
        return {"metadata": {}}


def _object(value: object) -> Object:
    if not isinstance(value, dict):
        raise ValueError("is not an object")
    return value


def _read(name: str, text: bytes) -> object:
    problem = excess(text, MAX_VALUES)
    if name not in _DATA and len(text) > MAX_BYTES:
        problem = f"is larger than {MAX_BYTES >> 10} KiB"
    if not problem:
        try:
            return orjson.loads(text)
        except ValueError as error:
            problem = f"cannot be read: {error}"
    return UnreadablePart(problem)


def _read_metadata(text: bytes) -> Object:
    """Metadata without what cannot be read of it."""
    found = {name: _read(name, part) for name, part in _parts(text) if name not in _IGNORED}
    return {name: value for name, value in found.items() if not isinstance(value, UnreadablePart)}


def _parts(text: bytes) -> Iterator[tuple[str, bytes]]:
    """The fields of an object: their names, and the texts of their values. Raises ValueError for what is none."""
    spans = [(begin, end) for level, begin, end in _spans(text, 1) if level == 1]
    # With a small object in place of each of these nothing is left that is deep or large, and tells the names.
    flat: list[bytes] = []
    at = 0
    for number, (begin, end) in enumerate(spans):
        flat += text[at:begin], b'{"":%d}' % number
        at = end
    for name, value in _object(orjson.loads(b"".join([*flat, text[at:]]))).items():
        if isinstance(value, dict):
            begin, end = spans[value[""]]
            yield name, text[begin:end]
        else:
            yield name, orjson.dumps(value)


def _spans(text: bytes, deepest: int) -> Iterator[tuple[int, int, int]]:
    """The lists and objects down to a level, as they end: in how many others each stands, its begin and its end."""
    begins: list[int] = []
    inside = 0
    for match in BRACKET.finditer(text):
        if match[1] in (b"[", b"{"):
            if inside <= deepest:
                begins.append(match.end() - 1)
            inside += 1
        elif match[1]:
            inside -= 1
            if 0 <= inside <= deepest:
                yield inside, begins.pop(), match.end()
