"""Inputs that users give as files, to have answers compared on them."""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chrion_api import Shape
from chrion_graph.errors import InputMismatch
from chrion_graph.inputs import MAX_BYTES
from chrion_graph.types import TensorType


@dataclass(frozen=True)
class Sample:
    """Values for every input of a model."""

    path: Path
    """Where they are from."""
    values: Mapping[str, NDArray[Any]]


def read_sample(path: Path) -> Sample:
    """The arrays of an .npz file, as `numpy.savez` writes it. Raises InputMismatch."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MAX_BYTES:
            raise InputMismatch(f"{path}: holds more than 1 GiB; give a smaller sample")
        with np.load(path, allow_pickle=False) as arrays:
            return Sample(path, dict(arrays))
    except OSError as error:
        raise InputMismatch(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, EOFError, zipfile.BadZipFile):
        raise InputMismatch(f"{path}: is not an .npz file of numbers; numpy.savez writes one") from None


def by_bucket(
    inputs: Mapping[str, TensorType | None], shapes_of: Sequence[Mapping[str, Shape]], samples: Sequence[Sample]
) -> list[list[Mapping[str, NDArray[Any]]]]:
    """The samples of each bucket: those of its shapes.

    Raises InputMismatch for an input that is missing, unknown or of another type, and for shapes of no bucket.
    """
    found: list[list[Mapping[str, NDArray[Any]]]] = [[] for _ in shapes_of]
    for sample in samples:
        if unknown := sample.values.keys() - inputs.keys():
            raise InputMismatch(f'{sample.path}: the model has no input "{min(unknown)}"; it has {", ".join(inputs)}')
        if missing := inputs.keys() - sample.values.keys():
            raise InputMismatch(f'{sample.path}: has no values for input "{min(missing)}"')
        for name, kind in inputs.items():
            value = sample.values[name]
            if kind is not None and value.dtype != kind.dtype:
                raise InputMismatch(f"{sample.path}: {name} is {value.dtype}, but the model takes {kind.dtype}")
        shapes = {name: tuple(value.shape) for name, value in sample.values.items()}
        fitting = [number for number, wanted in enumerate(shapes_of) if dict(wanted) == shapes]
        if not fitting:
            given = ", ".join(f"{name}={'x'.join(map(str, shape)) or 'scalar'}" for name, shape in shapes.items())
            raise InputMismatch(f"{sample.path}: its shapes are not planned for; plan for {given} too")
        found[fitting[0]].append(sample.values)
    return found
