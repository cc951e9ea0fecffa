"""Durations and quantities as Kubernetes writes them: strings that know their value.

They stay the string the user wrote, so that a document survives a round trip to the letter.
"""

import json
import re
from decimal import Decimal
from typing import Any, ClassVar, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from chrion_api.crd import in_crd

LARGEST = 2**63 - 1
"""What Kubernetes can count: bytes of a quantity, nanoseconds of a duration."""


class Unit(str):
    """A string of one written form, checked when it is made; raises ValueError on any other."""

    what: ClassVar[str]
    pattern: ClassVar[str]

    def __new__(cls, text: str) -> Self:
        if not isinstance(text, str) or not re.fullmatch(cls.pattern, text):
            raise ValueError(f"{shown(text)} is not {cls.what}")
        return super().__new__(cls, text)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def parse(value: Any) -> Unit:
            try:
                return cls(value)
            except ValueError as error:
                raise PydanticCustomError("unit", "{problem}", {"problem": str(error)}) from error

        return core_schema.no_info_plain_validator_function(
            parse, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "pattern": f"^{cls.pattern}$"}


class Duration(Unit):
    """A length of time such as `20ms`, `1.5s` or `1h30m`, in Go's notation as Kubernetes has it; never zero."""

    what = "a duration such as 20ms"
    pattern = r"([0-9]+(\.[0-9]+)?(ns|us|µs|μs|ms|s|m|h))+"
    _seconds: ClassVar = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}

    def __new__(cls, text: str) -> Self:
        self = super().__new__(cls, text)
        if self.seconds <= 0:
            raise ValueError(f"{shown(text)} is not a duration longer than zero")
        if self.seconds * 1e9 > LARGEST:
            raise ValueError(f"{shown(text)} is longer than 292 years")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        positive = ("duration(self) > duration('0s')", "must be longer than zero")
        return {**super().__get_pydantic_json_schema__(schema, handler), **in_crd(positive, maxLength=64)}

    @property
    def seconds(self) -> float:
        """The length in seconds."""
        parts = re.findall(r"([0-9.]+)(ns|us|µs|μs|ms|s|m|h)", self)
        return sum(float(number) * self._seconds[unit] for number, unit in parts)


class Quantity(Unit):
    """An amount of bytes such as `256Mi`, `1.5Gi`, `1e9` or `1000000`, in Kubernetes' quantity notation.

    The suffixes for parts (`m`, `u`, `n`) and negative exponents are refused: there is no part of a byte.
    """

    what = "a quantity of bytes such as 256Mi"
    pattern = r"[0-9]+(\.[0-9]+)?([KMGTPE]i|[kMGTPE]|[eE]\+?[0-9]{1,2})?"
    _bytes: ClassVar = {
        "": 1,
        **{prefix + "i": 1024**power for power, prefix in enumerate("KMGTPE", 1)},
        **{prefix: 1000**power for power, prefix in enumerate("kMGTPE", 1)},
    }

    def __new__(cls, text: str | int) -> Self:
        # YAML reads `gpuMemory: 1000000` as a number.
        self = super().__new__(cls, str(text) if type(text) is int else text)  # type: ignore[arg-type]
        if self.bytes > LARGEST:
            raise ValueError(f"{shown(text)} is more than 2^63 - 1 bytes")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        written = super().__get_pydantic_json_schema__(schema, handler)
        return {"anyOf": [written, {"type": "integer", "minimum": 0}]}

    @property
    def bytes(self) -> int:
        """The amount in bytes, rounded up as Kubernetes does."""
        number, suffix = re.fullmatch(r"([0-9.]+)(.*)", self).groups()  # type: ignore[union-attr]
        unit = self._bytes.get(suffix) or Decimal(f"1{suffix}")
        return int((Decimal(number) * unit).to_integral_value(rounding="ROUND_CEILING"))


def shown(value: Any) -> str:
    """A value as it stands in a document, on one line and not too long."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:59]}…"
