"""The bytes that answers on their way may take together: refused before they are written, for then it is too late."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Lock
from weakref import finalize

from chrion_runtime.devices.run_memory import ANSWERS_PART, LIMIT, RUN_MEMORY
from chrion_runtime.servable import Array
from chrion_runtime.serve.protocol import Answer, InferRequest
from chrion_runtime.serve.protocol.errors import AnswersFull, TooMuchToAnswer

SMALL = 1 << 20
"""Answers of no more bytes are not counted: there are never enough of them at once."""

_INTEGER = {1: 6, 2: 7, 4: 12, 8: 21}
"""The most bytes that an integer or a truth value takes in JSON with its comma, by the bytes of its type."""
_FLOAT = 26
"""The same of a floating-point number."""
_CHARACTER = 6
"""What a character of a string takes at most, escaped."""


def answer_bytes(request: InferRequest, results: Mapping[str, Array]) -> int:
    """The most that the answer takes: its values, and the text of those that are written as JSON."""
    total = 0
    for output in request.outputs:
        array = results.get(output.name)
        if array is None:
            continue
        total += array.nbytes
        if array.dtype.hasobject:
            with suppress(TypeError):  # what is no text is refused when it is written
                total += sum(map(len, array.ravel().tolist())) * _CHARACTER
        elif not output.binary:
            total += array.size * (_FLOAT if array.dtype.kind == "f" else _INTEGER.get(array.itemsize, _FLOAT))
    return total


class AnswerBudget:
    """Counts answers from before they are written until nobody holds them any more."""

    def __init__(self, limit: Callable[[], int]) -> None:
        """`limit` says how many bytes it may be."""
        self._limit = limit
        self._guard = Lock()
        self.held = 0
        """Bytes that are held now."""

    @contextmanager
    def share(self, nbytes: int) -> Iterator[Callable[[Answer], None]]:
        """Hold so many bytes inside the block, and after it for as long as the answer lives that the block hands over.

        Raises TooMuchToAnswer, AnswersFull.
        """
        limit = self._limit()
        if nbytes > limit:
            raise TooMuchToAnswer(
                f"the answer would take up to {nbytes} bytes, and all answers in flight may take {limit}, a quarter "
                f"of the limit for runs {LIMIT}: request fewer outputs or binary data, send less at once, or raise the "
                "limit"
            )
        with self._guard:
            if self.held + nbytes > limit:
                raise AnswersFull(
                    f"answers in flight hold {self.held} of {limit} bytes, and this one would take up to {nbytes} "
                    "more: try again later"
                )
            self.held += nbytes
        handed: list[Answer] = []
        try:
            yield handed.append
        finally:
            if handed:
                finalize(handed[0], self._give, nbytes)
            else:
                self._give(nbytes)

    def _give(self, nbytes: int) -> None:
        with self._guard:
            self.held -= nbytes


ANSWERS = AnswerBudget(lambda: RUN_MEMORY.limit // ANSWERS_PART)
"""This process's."""
