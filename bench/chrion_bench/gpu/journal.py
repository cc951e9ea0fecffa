"""The steps of a run within its minutes: what each one did, what failed and why, and what it had no time for."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

from chrion_api import ChrionError


class Named(Protocol):
    """What a step works on, one after another."""

    @property
    def name(self) -> str:
        """Its name in the report."""


T = TypeVar("T", bound=Named)


@dataclass
class Step:
    """One step, and what came of it."""

    name: str
    until: float
    """When it should end, by `time.monotonic`."""
    seconds: float = 0.0
    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Reasons by what failed; of the step itself under its own name."""
    left_out: list[str] = field(default_factory=list)
    """What there was no time for."""

    @property
    def left(self) -> float:
        """Seconds that are left, at least one: whatever is begun needs some time."""
        return max(1.0, self.until - time.monotonic())

    @property
    def said(self) -> str:
        """What came of it, in one line."""
        parts = [f"{len(self.done)} done"] if self.done else []
        parts += [f"{what} failed: {why}" for what, why in self.failed.items()]
        parts += [f"no time for {', '.join(self.left_out)}"] if self.left_out else []
        return "; ".join(parts) or "done"

    def each(self, items: Sequence[T], work: Callable[[T, float], None]) -> None:
        """Work on the items in their order, each with its share of the seconds that are left.

        The first is always begun, and no other that would, as long as those before took, end too late.
        """
        began = time.monotonic()
        for place, item in enumerate(items):
            mean = (time.monotonic() - began) / place if place else 0.0
            if place and time.monotonic() + mean > self.until:
                self.left_out += [item.name for item in items[place:]]
                return
            share = self.left / (len(items) - place)
            self._try(item, partial(work, item, share))

    def together(self, items: Sequence[T], work: Callable[[T, float], None], at_once: int) -> None:
        """Work on several items at once, on a thread each; `work` has to end within the seconds that it is given."""
        with ThreadPoolExecutor(at_once) as pool:
            for _ in pool.map(lambda item: self._try(item, partial(work, item, self.left)), items):
                pass

    def _try(self, item: Named, work: Callable[[], None]) -> None:
        print(f"  {item.name}", flush=True)
        try:
            work()
        except Exception as error:  # noqa: BLE001, one bad model must not end the run
            self.failed[item.name] = reason(error)
            print(f"  {item.name} failed: {self.failed[item.name]}", flush=True)
        else:
            self.done.append(item.name)

    def to_data(self) -> dict[str, Any]:
        """What came of it as JSON data."""
        found = asdict(self)
        del found["until"]
        return {**found, "seconds": round(self.seconds, 1), "said": self.said}


class Journal:
    """All steps of a run. Each has its share of the minutes; what one leaves goes to those after it."""

    def __init__(self, shares: Mapping[str, float], minutes: float) -> None:
        self.steps: list[Step] = []
        self._shares = dict(shares)
        self._began = time.monotonic()
        self._until = self._began + 60 * minutes

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """A step, timed; an error ends it, is noted, and does not come out."""
        share = self._shares[name] / sum(self._shares.values())
        del self._shares[name]
        began = time.monotonic()
        step = Step(name, began + share * max(0.0, self._until - began))
        self.steps.append(step)
        print(f"{name} (about {step.left:.0f} s):", flush=True)
        try:
            yield step
        except Exception as error:  # noqa: BLE001, what can go on without this step goes on
            step.failed[name] = reason(error)
        step.seconds = time.monotonic() - began
        print(f"{name}: {step.said} ({step.seconds:.0f} s)", flush=True)

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    @property
    def failed(self) -> dict[str, dict[str, str]]:
        """What failed and why, by step."""
        return {step.name: step.failed for step in self.steps if step.failed}

    def to_data(self) -> list[dict[str, Any]]:
        """The steps as JSON data."""
        return [step.to_data() for step in self.steps]


def reason(error: Exception) -> str:
    """An error in one line; what is no error of Chrion's with its type."""
    text = " ".join(str(error).split())
    return text if isinstance(error, ChrionError) else f"{type(error).__name__}: {text}"


def verdict(steps: Sequence[Mapping[str, Any]], seconds: float) -> str:
    """What came of all steps, in one line, failures first."""
    wrong = [f"{step['name']}: {what}: {why}" for step in steps for what, why in step["failed"].items()]
    left = {name for step in steps for name in step["left_out"]}
    parts = [f"FAILED: {'; '.join(wrong)}"] if wrong else ["every step was done"]
    parts += [f"no time for {', '.join(sorted(left))}"] if left else []
    return f"{'. '.join(parts)}. {int(seconds) // 60}:{int(seconds) % 60:02d} minutes"
