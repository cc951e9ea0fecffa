"""What every document of Chrion shares: frozen values, camelCase in JSON, errors that name the field."""

import json
from typing import Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from chrion_api.bounds import MAX_VALUES, excess, strange
from chrion_api.errors import InvalidDocument, InvalidField
from chrion_api.yaml_text import yaml_to_json

AnyDocument = TypeVar("AnyDocument", bound="Document")

SHOWN_PROBLEMS = 5
"""Fields at fault that an error names; what is wrong all over would be a book."""


class Document(BaseModel):
    """A frozen value with a JSON form; unknown fields are refused."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )

    omit_none: ClassVar[bool] = True
    """Whether JSON leaves out fields that are None."""

    @classmethod
    def parse(cls, value: Any, at: str = "") -> Self:
        """Validate plain data; `at` is the path of `value` in its document.

        Raises InvalidField that names the fields at fault, the first SHOWN_PROBLEMS of them.
        """
        try:
            return cls.model_validate(value, context={})
        except ValidationError as error:
            raise _invalid_field(error, at, cls.__name__) from None

    @classmethod
    def from_json(cls, text: str | bytes, source: str = "", max_values: int = MAX_VALUES) -> Self:
        """Read JSON; `source` names the file in errors. Raises InvalidDocument, also for what is too deep or large."""
        content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        if problem := excess(content, max_values):
            raise InvalidDocument(f"{source or cls.__name__}: {problem}")
        try:
            value = json.loads(content.decode("utf-8-sig"), parse_constant=_no_number)
        except ValueError as error:
            raise InvalidDocument(f"{source or cls.__name__}: not valid JSON: {error}") from None
        if fault := strange(value, max_values):
            path, problem = fault
            raise InvalidField(": ".join(filter(None, (source, path))), problem)
        return _named(source, cls, value)

    @classmethod
    def from_yaml(cls, text: str | bytes, source: str = "") -> Self:
        """Read YAML (JSON is YAML too); `source` names the file in errors. Raises InvalidDocument, as `from_json`."""
        return cls.from_json(yaml_to_json(text, source or cls.__name__), source)

    def to_data(self) -> dict[str, Any]:
        """The value as plain JSON data."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=self.omit_none)

    def to_json(self) -> str:
        """The value as JSON text, the same bytes for the same value."""
        return json.dumps(self.to_data(), indent=1, ensure_ascii=False) + "\n"


def _named(source: str, cls: type[AnyDocument], value: Any) -> AnyDocument:
    if not isinstance(value, dict):
        raise InvalidDocument(f"{source or cls.__name__}: expected a {cls.__name__} with named fields")
    try:
        return cls.parse(value)
    except InvalidField as error:
        if source:
            raise InvalidField(f"{source}: {error.path}" if error.path else source, error.problem) from None
        raise


def _invalid_field(error: ValidationError, at: str, kind: str) -> InvalidField:
    items = error.errors(include_url=False)
    problems = [(_path(at, item["loc"]), _problem(item)) for item in items[:SHOWN_PROBLEMS]]
    (path, first), rest = problems[0], problems[1:]
    others = [f"{where}: {what}" for where, what in rest]
    more = [f"and {len(items) - len(problems)} more"] if len(items) > len(problems) else []
    return InvalidField(path or kind, "; ".join([first, *others, *more]))


def _path(at: str, location: tuple[int | str, ...]) -> str:
    path = at
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part[:60]}" if path else part[:60]
    return path


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _shown(value: Any) -> str:
    """The first 80 characters of a value as JSON; no more of it is written than that takes."""
    text = ""
    for part in json.JSONEncoder(default=str, ensure_ascii=False).iterencode(value):
        text += part[:80]
        if len(text) >= 80:
            break
    return text[:80].encode("utf-8", "backslashreplace").decode()


def _problem(item: Any) -> str:
    match item["type"]:
        case "missing":
            return "is required"
        case "extra_forbidden":
            return "is not a known field"
        case "unit":
            return str(item["ctx"]["problem"])
        case "value_error":
            return str(item["ctx"]["error"])
    text = _shown(item.get("input"))
    match item["type"]:
        case "model_type" | "dict_type":
            return f"{text}: expected named fields"
        case "tuple_type":
            return f"{text}: expected a list"
    message = str(item["msg"])
    return f"{text}: {message[0].lower()}{message[1:]}"
