"""What kind of work a request is: told by the shapes of its inputs, and by the values that decide how much there is.

The bytes of a request do not tell: a number can be the times that a Loop goes round, or the size of a tensor.
"""

from collections.abc import Collection, Mapping

from chrion_runtime.servable import Array

Kind = tuple[object, ...]
"""Requests of one kind take about as long as each other."""

MOST_BYTES = 64
"""Values of more bytes are not compared: few requests would share them."""


class Workload:
    """Tells the kinds of one model's requests apart."""

    def __init__(self, deciding: Collection[str]) -> None:
        """`deciding` are the inputs whose values decide how much work a run is."""
        self._deciding = tuple(sorted(deciding))

    def kind(self, inputs: Mapping[str, Array]) -> Kind | None:
        """The request's kind; None where nothing can be said before it has run.

        Axes within a factor of two are taken together. An axis of length 0 hides how long the others are.
        """
        found: list[object] = []
        for name, array in inputs.items():
            if not array.size:
                return None
            found.append(name)
            found.extend(axis.bit_length() for axis in array.shape)
        for name in self._deciding:
            value = inputs.get(name)  # it may be state, which the request does not show
            if value is None or value.dtype.hasobject or value.nbytes > MOST_BYTES:
                return None
            found.append(value.tobytes())
        return tuple(found)
