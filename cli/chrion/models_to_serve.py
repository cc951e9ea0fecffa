"""Several models in one command: which plan, name and options belong to which."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chrion.errors import UsageError
from chrion_api import ChrionError


@dataclass(frozen=True)
class ModelToServe:
    """One of the models to serve."""

    model: Path
    plan: Path
    name: str


def pair(models: Sequence[Path], plans: Sequence[Path], names: Sequence[str]) -> list[ModelToServe]:
    """Models with their plans and names, each in its order. Raises UsageError."""
    if len(plans) != len(models):
        first = next(iter(models[len(plans) :]), None)
        lacking = f"{first} has none" if first else f"{plans[len(models)]} is for none"
        raise UsageError(
            f"--plan: there are {len(models)} models and {len(plans)} plans; give one for each, in order: {lacking}"
        )
    if names and len(names) != len(models):
        raise UsageError(f"--name: there are {len(models)} models and {len(names)} names; give one for each, in order")
    called = list(names) or [model.stem for model in models]
    found: dict[str, Path] = {}
    for name, model in zip(called, models, strict=True):
        if name in found:
            raise UsageError(
                f'{model}: would have the same name as {found[name]}, "{name}"; give each a name with --name'
            )
        found[name] = model
    return [ModelToServe(*one) for one in zip(models, plans, called, strict=True)]


def by_model(option: str, texts: Sequence[str] | None, names: Sequence[str]) -> dict[str, list[str]]:
    """An option's values by model: those that begin with `MODEL:`, or all where there is one. Raises UsageError."""
    found: dict[str, list[str]] = {name: [] for name in names}
    for text in texts or []:
        name, colon, rest = text.partition(":")
        if colon and name in found:
            found[name].append(rest)
        elif len(found) == 1:
            found[names[0]].append(text)
        else:
            known = " or ".join(names) or "a model"
            raise UsageError(f'{option}: "{text}" does not say which model; write MODEL:{text}, where MODEL is {known}')
    return found


@contextmanager
def about(file: Path) -> Iterator[None]:
    """Have errors inside the block name the file that they are about."""
    try:
        yield
    except ChrionError as error:
        if str(file) in str(error):
            raise
        raise UsageError(f"{file}: {error}") from None
