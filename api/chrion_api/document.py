"""What every document of Chrion shares: frozen values, camelCase in JSON, errors that name the field."""

import json
from typing import Any, ClassVar, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from chrion_api.errors import InvalidDocument, InvalidField

AnyDocument = TypeVar("AnyDocument", bound="Document")

MOST_PROBLEMS = 20
"""Fields at fault that one error names."""


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

        Raises InvalidField that names the fields at fault, the first MOST_PROBLEMS of them.
        """
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise _invalid_field(error, at, cls.__name__) from None

    @classmethod
    def from_json(cls, text: str | bytes, source: str = "") -> Self:
        """Read JSON; `source` names the file in errors. Raises InvalidDocument."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidDocument(f"{source or cls.__name__}: not valid JSON: {error}") from None
        return _named(source, cls, value)

    @classmethod
    def from_yaml(cls, text: str | bytes, source: str = "") -> Self:
        """Read YAML (JSON is YAML too); `source` names the file in errors. Raises InvalidDocument."""
        try:
            value = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date that is none
            problem = " ".join(str(error).split())
            raise InvalidDocument(f"{source or cls.__name__}: not valid YAML: {problem}") from None
        return _named(source, cls, value)

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
    (path, first), *rest = [(_path(at, item["loc"]), _problem(item)) for item in items[:MOST_PROBLEMS]]
    if not path:
        path = kind
    more = [f"and {len(items) - MOST_PROBLEMS} more"] if len(items) > MOST_PROBLEMS else []
    return InvalidField(path, "; ".join([first, *(f"{where}: {what}" for where, what in rest), *more]))


def _path(at: str, location: tuple[int | str, ...]) -> str:
    path = at
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path


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
    try:
        text = json.dumps(item.get("input"), default=str, ensure_ascii=False)[:80]
    except (ValueError, RecursionError):  # a number of more digits than Python writes, or too deep
        text = "this value"
    match item["type"]:
        case "model_type" | "dict_type":
            return f"{text}: expected named fields"
        case "tuple_type":
            return f"{text}: expected a list"
    message = str(item["msg"])
    return f"{text}: {message[0].lower()}{message[1:]}"
