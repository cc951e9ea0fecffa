"""Where time chunks begin and end, for a length that is known and for one that only the run will tell.

Chunks are counted in the order in which the layers work on them: from the last step backwards in a reverse layer.
Their lengths differ by one step at most. Where there are fewer steps than chunks, the first chunks hold one step each
and the others repeat a step that is there, because ONNX Runtime's GRU ends the process on a sequence of no steps and
its LSTM and RNN lose the state. What they compute is read by one another only and left out of the answer.
"""

from dataclasses import dataclass

from chrion_graph.rewrite.wavefront.writer import Writer


@dataclass(frozen=True)
class Bounds:
    """The bounds of every chunk, as values of one integer each."""

    starts: tuple[str, ...]
    ends: tuple[str, ...]
    steps: int | None
    """Length of every chunk; None where they differ or it is not known."""
    length: str = ""
    """The number of steps as a value of one integer, where only the run tells it."""
    last: str = ""
    """In that case the place of the last chunk that repeats no step, likewise."""

    @property
    def chunks(self) -> int:
        """The number of chunks."""
        return len(self.starts)


def known_bounds(writer: Writer, length: int, chunks: int, reverse: bool) -> Bounds:
    """Chunks of a length that is known and holds a step for each."""
    share, rest = divmod(length, chunks)
    cuts = [place * share + min(place, rest) for place in range(chunks + 1)]
    values = [length - cut for cut in (*cuts[1:], *cuts[:-1])] if reverse else [*cuts[:-1], *cuts[1:]]
    pieces = writer.single(writer.constant(*values), 2 * chunks)
    return Bounds(tuple(pieces[:chunks]), tuple(pieces[chunks:]), None if rest else share)


def bounds_of(writer: Writer, sequence: str, chunks: int, reverse: bool) -> Bounds:
    """Chunks of the first axis of `sequence`, [seq, batch, input], as many steps as there are."""
    size = 2 * chunks
    count, one = writer.constant(chunks), writer.constant(1)
    length = writer.integers("Gather", writer.integers("Shape", sequence, size=3), writer.constant(0), axis=0)
    places = writer.constant(*range(chunks), *range(1, chunks + 1))
    rest = writer.integers("Mod", length, count)
    whole = writer.integers("Mul", places, writer.integers("Div", length, count), size=size)
    cuts = writer.integers("Add", whole, writer.smaller(places, rest, size), size=size)
    # No chunk begins after the last step: those that would be empty repeat it.
    latest = writer.integers("Sub", length, writer.constant(*[1] * chunks, *[0] * chunks), size=size)
    cuts = writer.smaller(cuts, latest, size)
    if reverse:
        cuts = writer.integers("Sub", length, cuts, size=size)
    pieces = writer.single(cuts, size)
    first, second = tuple(pieces[:chunks]), tuple(pieces[chunks:])
    starts, ends = (second, first) if reverse else (first, second)
    last = writer.integers("Sub", writer.smaller(length, count), one)
    return Bounds(starts, ends, None, length, last)
