"""How long a request may take: what the client says, else the model's objective.

| from | is | unit |
|---|---|---|
| header `X-Request-Timeout-Ms` | what the client waits | milliseconds |
| header `X-Envoy-Expected-Rq-Timeout-Ms` | what Envoy, and so Istio and Knative, wait | milliseconds |
| request parameter `timeout` | what Triton's clients send | microseconds |

The least of them counts, and the objective's latency among them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from chrion_runtime.serve.protocol.errors import BadRequest

HEADERS = ("x-request-timeout-ms", "x-envoy-expected-rq-timeout-ms")
"""In small letters, in which they are looked up."""


def allowed(headers: Mapping[str, str]) -> float | None:
    """Seconds that the headers allow; None where they say nothing. Raises BadRequest for the first where it is wrong.

    Envoy's header comes from a proxy: the client could not mend it, so what cannot be read there is left out.
    """
    found: list[float] = []
    for name in HEADERS:
        text = headers.get(name)
        if text is None:
            continue
        if text.isascii() and text.isdecimal() and len(text) < 12:
            if int(text):
                found.append(int(text) / 1e3)
        elif name == HEADERS[0]:
            raise BadRequest(f'{name}: "{text[:40]}" must be a number of milliseconds')
    return min(found, default=None)


def least(*seconds: float | None) -> float | None:
    """The least of those that are given."""
    return min((one for one in seconds if one is not None), default=None)


@dataclass(frozen=True)
class Deadline:
    """Until when a request shall be answered."""

    arrived: float
    """When it came, as `time.perf_counter` counts."""
    client: float | None
    """Seconds from then that its client allows; None without a limit."""
    objective: float | None
    """Seconds that the model's objective allows it to wait behind others; work that has begun is not cut off by it."""
