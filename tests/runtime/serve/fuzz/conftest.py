"""One live server of real models, for all that is thrown at it."""

import re
import socket
from dataclasses import dataclass

import orjson
import pytest

from chrion_models.families.stack import stack
from tests.support.served import BODY_LIMIT, planned_model

TYPES = """types (float[N,3] x, double[D] d, int64[N] i, uint8[U] u, bool[B] b, string[S] s)
  => (float[N,3] x1, double[D] d1, int64[N] i1, int32[U] u1, bool[B] b1, string[T] s1) {
    x1 = Abs (x)
    d1 = Neg (d)
    i1 = Neg (i)
    u1 = Cast <to = 6> (u)
    b1 = Not (b)
    s1 = Concat <axis = 0> (s, s)
}"""
PICKY = """picky (float[N] x, float[M] y, int64[K] i) => (float[P] sum, float[K] picked) {
    sum = Add (x, y)
    picked = Gather (x, i)
}"""
HALF = "half (float16[N] h) => (float16[N] h1) { h1 = Neg (h) }"


@dataclass(frozen=True)
class Reply:
    """What came back; status 0 where the server closed the connection without a word."""

    status: int
    head: bytes
    body: bytes

    @property
    def error(self):
        return orjson.loads(self.body)["error"]


def _whole(answer):
    head, end, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    return bool(end and length and len(body) >= int(length[1]) and not head.startswith(b"HTTP/1.1 100"))


class Target:
    """The server, spoken to byte by byte."""

    def __init__(self, running):
        self.running = running
        self.url = running.where.url

    def send(self, data, half_close=False):
        """Send bytes as they are, and read the first answer; `half_close` says that no more will come."""
        with socket.create_connection(("127.0.0.1", self.running.where.port), timeout=60) as connection:
            answer = b""
            try:
                connection.sendall(data)
                if half_close:
                    connection.shutdown(socket.SHUT_WR)
                while not _whole(answer) and (part := connection.recv(1 << 16)):
                    answer += part
            except (ConnectionResetError, BrokenPipeError):
                pass
        head, _, body = answer.partition(b"\r\n\r\n")
        return Reply(int(answer[9:12]) if answer else 0, head, body)

    def infer(self, model, body, *headers, length=None):
        """Post a body to a model, with headers and a Content-Length that may lie."""
        return self.post(f"/v2/models/{model}/infer", body, *headers, length=length)

    def post(self, path, body, *headers, length=None):
        """Post a body to a path."""
        lines = [
            f"POST {path} HTTP/1.1",
            "Host: here",
            "Connection: close",
            f"Content-Length: {len(body) if length is None else length}",
            *headers,
        ]
        return self.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)

    def lives(self):
        """Whether it still serves."""
        request = b"GET /v2/health/ready HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
        return self.send(request).status == 200


@pytest.fixture(scope="package")
def target(tmp_path_factory, package_serving):
    folder = tmp_path_factory.mktemp("served")
    lstm = stack("LSTM", "bidirectional", 1, 4, 3, 1)
    sessions = [
        planned_model("types", TYPES, {"x": (1, 3), **dict.fromkeys("diubs", (1,))}, folder / "t"),
        planned_model("picky", PICKY, {"x": (1,), "y": (1,), "i": (1,)}, folder / "p"),
        planned_model("half", HALF, {"h": (2,)}, folder / "h"),
        planned_model("lstm", lstm.build(), lstm.inputs, folder / "l"),
    ]
    # A body that never comes is given up soon, so that lies about its length do not take long to see through.
    with package_serving(*sessions, body_limit=BODY_LIMIT, read_seconds=1.0) as running:
        yield Target(running)
