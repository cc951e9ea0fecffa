"""A request as it came, before anything of it is read."""

from dataclasses import dataclass

from chrion_runtime.protocol.inflate import Buffer


@dataclass(frozen=True)
class RawRequest:
    """The body, and the two headers that say how to read it."""

    body: Buffer
    header_length: str | None = None
    """Inference-Header-Content-Length."""
    encoding: str = ""
    """Content-Encoding."""

    @property
    def json_size(self) -> int:
        """Bytes of the JSON, as far as the header can be trusted; all of the body without one."""
        length = self.header_length
        if length is None or not length.isdecimal() or len(length) > 18:
            return len(self.body)
        return min(int(length), len(self.body))
