"""The service-level objective of a model, and the mode in which it is pursued."""

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from chrion_api.crd import in_crd
from chrion_api.document import Document
from chrion_api.units import Duration, Quantity


class Mode(StrEnum):
    """What is minimised: time, or GPU memory within the latency objective."""

    AUTO = "Auto"
    LATENCY = "Latency"
    MEMORY = "Memory"

    def resolve(self, slo: "SLO") -> "Mode":
        """Auto means Memory when a latency is asked for, else Latency."""
        if self is not Mode.AUTO:
            return self
        return Mode.MEMORY if slo.latency is not None else Mode.LATENCY


_NOT_BOTH = "give concurrency or requestsPerSecond, not both"


class Load(Document):
    """The load at which the objective shall hold; one of the two."""

    model_config = {
        **Document.model_config,
        "json_schema_extra": {
            "not": {"required": ["concurrency", "requestsPerSecond"]},
            **in_crd(("!has(self.concurrency) || !has(self.requestsPerSecond)", _NOT_BOTH)),
        },
    }

    concurrency: int | None = Field(default=None, ge=1)
    """Requests in flight at once; 1 where no load is given."""
    requests_per_second: float | None = Field(default=None, gt=0)
    """Requests arriving each second."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.concurrency is not None and self.requests_per_second is not None:
            raise ValueError(_NOT_BOTH)
        return self


class SLO(Document):
    """The objective: a soft target for latency and a hard budget of GPU memory."""

    latency: Duration | None = None
    """The latency to stay within at `percentile`, from request read to response written."""
    percentile: float = Field(default=99, gt=0, lt=100)
    """The percentile of requests at which `latency` must hold."""
    load: Load = Load()
    """The load at which it must hold."""
    gpu_memory: Quantity | None = None
    """GPU memory that the process may use, including the CUDA context."""


class Objective(SLO):
    """An SLO with the mode in which it is pursued: what the ConfigMap `<model>-slo` and the file of `--slo` hold."""

    mode: Mode = Mode.AUTO
    """Auto, Latency or Memory."""

    @property
    def resolved(self) -> Mode:
        """The mode that Auto stands for."""
        return self.mode.resolve(self)

    @property
    def slo(self) -> SLO:
        """The SLO without the mode."""
        return SLO(**{name: getattr(self, name) for name in SLO.model_fields})

    @classmethod
    def of(cls, slo: SLO, mode: Mode) -> "Objective":
        """An SLO and a mode as one."""
        return cls(**{name: getattr(slo, name) for name in SLO.model_fields}, mode=mode)
