"""How much JSON may say, looked at before it is parsed: three bytes of it can become an object of a hundred."""

import numpy as np

from chrion_runtime.serve.protocol.errors import TooCostly
from chrion_runtime.serve.protocol.inflate import Buffer

MOST_VALUES = 16 * 1024 * 1024
"""Values of one body, as its commas tell; they take up to about 1.5 GiB while they are read."""
MOST_NESTED = 4 * 1024 * 1024
"""Lists and objects among them, as their opening brackets tell."""

_SMALL = 1024 * 1024
"""Bytes of which no harm can come."""


def check_json_size(text: Buffer) -> None:
    """Raises TooCostly where JSON may hold more values than that; those within strings are counted with them."""
    if len(text) <= _SMALL:
        return
    codes = np.frombuffer(text, np.uint8)
    if np.count_nonzero(codes == ord(",")) > MOST_VALUES:
        raise TooCostly(f"the JSON holds more than {MOST_VALUES} values: send less, or send tensors as binary data")
    # The two brackets differ in one bit.
    if np.count_nonzero(codes | (ord("[") ^ ord("{")) == ord("{")) > MOST_NESTED:
        raise TooCostly(f"the JSON holds more than {MOST_NESTED} lists and objects: send flat lists, or binary data")
