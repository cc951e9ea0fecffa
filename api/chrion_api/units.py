"""Durations and quantities as Kubernetes writes them: strings that know their value.

They stay the string the user wrote, so that a document survives a round trip to the letter.
"""

import re
from decimal import Decimal
from typing import Any, ClassVar, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


class Unit(str):
    """A string of one written form, checked when it is made; raises ValueError on any other."""

    what: ClassVar[str]
    pattern: ClassVar[str]

    def __new__(cls, text: str) -> Self:
        if not isinstance(text, str) or not re.fullmatch(cls.pattern, text):
            raise ValueError(f'"{text}" is not {cls.what}')
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
    """A length of time such as `20ms`, `1.5s` or `1h30m`, in Go's notation as Kubernetes has it."""

    what = "a duration such as 20ms"
    pattern = r"([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+"
    _seconds: ClassVar = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}

    def __new__(cls, text: str) -> Self:
        self = super().__new__(cls, text)
        if self.seconds <= 0:
            raise ValueError(f'"{text}" is not a duration longer than zero')
        return self

    @property
    def seconds(self) -> float:
        """The length in seconds."""
        parts = re.findall(r"([0-9.]+)(ns|us|µs|ms|s|m|h)", self)
        return sum(float(number) * self._seconds[unit] for number, unit in parts)


class Quantity(Unit):
    """An amount of bytes such as `256Mi`, `1.5Gi` or `1000000`, in Kubernetes' quantity notation."""

    what = "a quantity of bytes such as 256Mi"
    pattern = r"[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?"
    _bytes: ClassVar = {
        "": 1,
        **{prefix + "i": 1024**power for power, prefix in enumerate("KMGTP", 1)},
        **{prefix: 1000**power for power, prefix in enumerate("kMGTP", 1)},
    }

    @property
    def bytes(self) -> int:
        """The amount in bytes, rounded up as Kubernetes does."""
        number, unit = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", self).groups()  # type: ignore[union-attr]
        return int((Decimal(number) * self._bytes[unit]).to_integral_value(rounding="ROUND_CEILING"))
