"""What every document of Chrion shares: frozen values, camelCase in JSON, errors that name the field."""

import json
from typing import Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from chrion_api.errors import InvalidDocument, InvalidField
from chrion_api.yaml_text import yaml_to_json

AnyDocument = TypeVar("AnyDocument", bound="Document")


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

        Raises InvalidField that names every field at fault.
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
    problems = [(_path(at, item["loc"]), _problem(item)) for item in error.errors(include_url=False)]
    (path, first), rest = problems[0], problems[1:]
    if not path:
        path = kind
    return InvalidField(path, "; ".join([first, *(f"{where}: {what}" for where, what in rest)]))


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
    text = json.dumps(item.get("input"), default=str, ensure_ascii=False)[:80]
    match item["type"]:
        case "model_type" | "dict_type":
            return f"{text}: expected named fields"
        case "tuple_type":
            return f"{text}: expected a list"
    message = str(item["msg"])
    return f"{text}: {message[0].lower()}{message[1:]}"
