"""Shapes for inputs that nobody gives one for: open axes as long as in other inputs, or as their names suggest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chrion_api import InputSpec, Shape
from chrion_api.one_line import one_line
from chrion_graph.types import TensorType

Inputs = Mapping[str, TensorType | None]
"""What the model's inputs are; None for what is no tensor."""
Axis = int | str | None
"""A size, a name, or neither."""

STEPS = 100
"""Steps of a sequence whose length nobody says: a second of speech in frames of 10 ms. It is enough for recurrent
layers to outweigh what any run costs, as they will where the model serves, and little enough to be measured quickly."""

_BATCH = ("N", "batch", "batch_size", "batchsize")
_SEQUENCE = (
    *("T", "frames", "length", "n_frames", "num_frames", "seq", "seq_len", "seq_length", "seqlen", "sequence"),
    *("sequence_length", "steps", "time", "time_steps", "timesteps"),
)
_USUAL = {**dict.fromkeys(_BATCH, 1), **dict.fromkeys(_SEQUENCE, STEPS)}


@dataclass(frozen=True)
class Guess:
    """An input with the shapes that it is taken to have, one a bucket."""

    spec: InputSpec
    taken: Mapping[str, str]
    """What each open axis is taken to be, in words, by its name."""

    def __str__(self) -> str:
        """One line: what is guessed, and what to give instead."""
        name, (shape, *_) = self.spec.name, self.spec.shapes
        (first, words), *more = self.taken.items()
        rest = [f"{axis} {said}" for axis, said in more]
        sizes = in_words([f"axis {first} is taken to be {words}", *rest])
        return one_line(f"inputs.{name}: {sizes}; give --input {option(name, shape)} to plan for other sizes")


def usual_size(axis: Axis) -> int | None:
    """The size that an open axis most likely has, by its name; None where that does not say."""
    if not isinstance(axis, str):
        return None
    return _USUAL.get(axis, _USUAL.get(axis.lower().replace("-", "_")))


def size_of(axis: Axis) -> int | None:
    """The size of an axis, else its usual size; None where neither is known."""
    return axis if isinstance(axis, int) else usual_size(axis)


def option(name: str, axes: Sequence[Axis]) -> str:
    """What `--input` takes: `x=1x100x80`, `sr=scalar`; axes that are open stand there by name."""
    return f"{name}={written(axes, 'scalar')}"


def written(axes: Sequence[Axis], scalar: str) -> str:
    """Axes side by side: `1xframesx80`; ? for those without a size or name."""
    return "x".join("?" if axis is None else str(axis) for axis in axes) or scalar


def in_words(words: Sequence[str]) -> str:
    """Words in a row: `a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def guesses(inputs: Inputs, specs: Sequence[InputSpec]) -> tuple[Guess, ...]:
    """Shapes for the inputs with open axes that `specs` give none, where there is a size for every axis.

    An axis that a given input has too is as long as it is there, bucket by bucket; any other has its usual size.
    """
    given = {spec.name: spec for spec in specs}
    count = max((len(spec.buckets) for spec in specs), default=1) or 1
    known = [_sizes(inputs, specs, bucket) for bucket in range(count)]
    found = []
    for name, kind in inputs.items():
        spec = given.get(name, InputSpec(name=name))
        if kind is None or kind.shape is None or spec.buckets or not _open_axes(kind.shape):
            continue
        shapes = [shape for sizes in known if (shape := _shape(kind.shape, sizes)) is not None]
        if len(shapes) == count:
            taken = {axis: _words(axis, inputs, specs) for axis in _open_axes(kind.shape)}
            found.append(Guess(InputSpec(name=name, shapes=tuple(shapes), value=spec.value), taken))
    return tuple(found)


def completed(specs: Sequence[InputSpec], found: Sequence[Guess]) -> tuple[InputSpec, ...]:
    """Specs with those that are guessed in place of what they say of the same inputs."""
    guessed = {guess.spec.name for guess in found}
    return (*(spec for spec in specs if spec.name not in guessed), *(guess.spec for guess in found))


def _open_axes(axes: Sequence[Axis]) -> list[str]:
    """The axes that are open, by name; "" for those that have none."""
    return [axis or "" for axis in axes if not isinstance(axis, int)]


def _named(inputs: Inputs, spec: InputSpec) -> list[tuple[int, str]]:
    """Axes of an input that have a name, with their places."""
    kind = inputs.get(spec.name)
    return [(place, axis) for place, axis in enumerate(kind.shape or ()) if isinstance(axis, str)] if kind else []


def _sizes(inputs: Inputs, specs: Sequence[InputSpec], bucket: int) -> dict[str, int | None]:
    """Sizes of named axes in the shapes that are given for a bucket; None where these differ."""
    sizes: dict[str, int | None] = {}
    for spec in specs:
        shape = spec.buckets[min(bucket, len(spec.buckets) - 1)] if spec.buckets else ()
        for place, axis in _named(inputs, spec):
            if place < len(shape):
                sizes[axis] = shape[place] if sizes.setdefault(axis, shape[place]) == shape[place] else None
    return sizes


def _shape(axes: Sequence[Axis], known: Mapping[str, int | None]) -> Shape | None:
    """The shape with open axes as they are known, else of their usual sizes; None where one has neither."""
    sizes = [known[axis] if isinstance(axis, str) and axis in known else size_of(axis) for axis in axes]
    return tuple(size for size in sizes if size is not None) if None not in sizes else None


def _words(axis: str, inputs: Inputs, specs: Sequence[InputSpec]) -> str:
    """Where the size of an axis is from: the first input that is given and has it, or its name."""
    for spec in specs:
        if spec.buckets and axis in [name for _, name in _named(inputs, spec)]:
            return f"that of inputs.{spec.name}"
    return str(usual_size(axis))
