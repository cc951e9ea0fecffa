"""How what one process knows of a model is said to another: as JSON, and checked when it is read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from chrion_api import SLO, ChrionError, Frontier, Mode, Plan
from chrion_runtime.choice.selection import Selection
from chrion_runtime.errors import RunError, RuntimeFailure
from chrion_runtime.servable import Figure, TensorSpec

Data = dict[str, Any]

MOST_CONCURRENCY = 64
"""Each is a thread of the server."""
_FIGURE = re.compile(r"chrion_[a-z_]+")
"""Names of figures; others could break up what the metrics say of everybody."""


@dataclass(frozen=True)
class Description:
    """What of a model does not change while it serves."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    state: Mapping[str, str]
    concurrency: int
    deciding: frozenset[str]

    def to_data(self) -> Data:
        """JSON data."""
        return {
            "inputs": [_spec_data(spec) for spec in self.inputs],
            "outputs": [_spec_data(spec) for spec in self.outputs],
            "state": dict(self.state),
            "concurrency": self.concurrency,
            "deciding": sorted(self.deciding),
        }

    @classmethod
    def of(cls, data: Data) -> "Description":
        """What `to_data` said. Raises ValueError, TypeError, KeyError."""
        concurrency = int(data["concurrency"])
        if not 0 < concurrency <= MOST_CONCURRENCY:
            raise ValueError(f"a concurrency of {concurrency}")
        return cls(
            tuple(map(_spec, data["inputs"])),
            tuple(map(_spec, data["outputs"])),
            dict(data["state"]),
            concurrency,
            frozenset(data["deciding"]),
        )


@dataclass(frozen=True)
class Report:
    """What of a model changes while it serves, as it is now."""

    deadline: float | None = None
    slo: SLO = field(default_factory=SLO)
    mode: Mode = Mode.LATENCY
    off_profile: int = 0
    plan: Mapping[str, Any] | None = None
    """What /plan answers."""
    figures: tuple[Figure, ...] = ()

    def to_data(self) -> Data:
        """JSON data."""
        return {
            "deadline": self.deadline,
            "slo": self.slo.to_data(),
            "mode": self.mode.value,
            "offProfile": self.off_profile,
            "plan": self.plan,
            "figures": [asdict(figure) for figure in self.figures],
        }

    @classmethod
    def of(cls, data: Data) -> "Report":
        """What `to_data` said. Raises InvalidField, ValueError, TypeError, KeyError."""
        deadline = data["deadline"]
        return cls(
            None if deadline is None else float(deadline),
            SLO.parse(data["slo"], "slo"),
            Mode(data["mode"]),
            int(data["offProfile"]),
            data["plan"],
            tuple(map(_figure, data["figures"])),
        )


InUse = tuple[tuple[Frontier, Selection], ...]


def in_use_data(in_use: InUse) -> list[Data]:
    """The plans in use as JSON data."""
    return [
        {
            "frontier": frontier.to_data(),
            "plan": selection.plan.to_data(),
            "reason": selection.reason,
            "meets": selection.meets_slo,
        }
        for frontier, selection in in_use
    ]


def in_use_of(data: Sequence[Data]) -> InUse:
    """What `in_use_data` said. Raises InvalidField."""
    return tuple(
        (
            Frontier.parse(one["frontier"], "frontier"),
            Selection(Plan.parse(one["plan"], "plan"), str(one["reason"]), bool(one["meets"])),
        )
        for one in data
    )


def error_data(error: ChrionError) -> list[str]:
    """An error by its name, with its sentence."""
    return [type(error).__name__, str(error)]


def error_of(data: Sequence[str]) -> RuntimeFailure:
    """The runtime's error of that name; one that the runtime does not know is a RunError."""
    name, text = data
    kind = _kinds(RuntimeFailure).get(name, RunError)
    error = kind.__new__(kind)
    Exception.__init__(error, text)  # the classes' own take other arguments, and made this sentence of them
    return error


def _kinds(base: type[RuntimeFailure]) -> dict[str, type[RuntimeFailure]]:
    found = {base.__name__: base}
    for kind in base.__subclasses__():
        found |= _kinds(kind)
    return found


def _figure(data: Data) -> Figure:
    figure = Figure(**data)
    texts = [figure.help, *figure.labels, *figure.labels.values()]
    if (
        not _FIGURE.fullmatch(figure.name)
        or figure.kind not in ("gauge", "counter")
        or not all(isinstance(text, str) for text in texts)
        or not all(name.isidentifier() for name in figure.labels)
    ):
        raise ValueError(f"no figure: {data}")
    return replace(figure, value=float(figure.value))


def _spec_data(spec: TensorSpec) -> list[Any]:
    return [spec.name, spec.dtype.str, spec.shape, spec.optional]


def _spec(data: Sequence[Any]) -> TensorSpec:
    name, dtype, shape, optional = data
    return TensorSpec(str(name), np.dtype(dtype), None if shape is None else tuple(shape), bool(optional))
