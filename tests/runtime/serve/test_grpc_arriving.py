"""Messages over gRPC that are still coming in: their bytes are counted and bounded, whoever sends them."""

import socket
import threading
from itertools import pairwise

import grpc
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from chrion_runtime.serve.grpc.frames import FRAME_COST, PREFACE, Frames, Incoming
from tests.support.waiting import wait_until

METHOD = "/inference.GRPCInferenceService/ModelInfer"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 3, 4, 6, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
MIB = 1 << 20


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def field(name, value):
    """A header as HPACK writes it without its tables: RFC 7541, section 6.2.2."""
    return b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value


HEAD = b"".join(
    field(name, value)
    for name, value in (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", METHOD.encode()),
        (b":authority", b"localhost"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    )
)


class Connection(threading.Thread):
    """Calls over one connection, each sending all of a message of `size` bytes but the last."""

    def __init__(self, port, calls, size):
        super().__init__()
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=0.1)
        self._left = {1 + 2 * number: size - 1 for number in range(calls)}
        self._size = size
        self._windows = {0: 65_535} | dict.fromkeys(self._left, 65_535)
        self._initial = 65_535
        self._unread = b""
        self.closed = threading.Event()
        """The server has closed it."""
        self.stop = threading.Event()
        self.start()

    def run(self):
        try:
            self._socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0))
            for stream in self._left:
                self._socket.sendall(frame(HEADERS, END_HEADERS, stream, HEAD))
                self._send(stream, b"\0" + self._size.to_bytes(4, "big"))
            while not self.stop.is_set():
                for stream, left in self._left.items():
                    while size := min(left, 16_384, self._windows[0], self._windows[stream]):
                        self._send(stream, bytes(size))
                        left -= size
                    self._left[stream] = left
                self._read()
        except OSError:
            self.closed.set()
        self._socket.close()

    def _send(self, stream, payload):
        self._windows[0] -= len(payload)
        self._windows[stream] -= len(payload)
        self._socket.sendall(frame(DATA, 0, stream, payload))

    def _read(self):
        try:
            part = self._socket.recv(65_536)
        except TimeoutError:
            return
        if not part:
            raise ConnectionResetError
        self._unread += part
        while len(self._unread) >= 9 and len(self._unread) >= 9 + int.from_bytes(self._unread[:3], "big"):
            end = 9 + int.from_bytes(self._unread[:3], "big")
            kind, flags, stream = self._unread[3], self._unread[4], int.from_bytes(self._unread[5:9], "big")
            payload, self._unread = self._unread[9:end], self._unread[end:]
            if kind == WINDOW_UPDATE:
                self._windows[stream] += int.from_bytes(payload, "big")
            elif kind == PING and not flags & ACK:
                self._socket.sendall(frame(PING, ACK, 0, payload))
            elif kind == SETTINGS and not flags & ACK:
                for at in range(0, len(payload), 6):
                    if payload[at : at + 2] == b"\0\4":  # INITIAL_WINDOW_SIZE
                        initial = int.from_bytes(payload[at + 2 : at + 6], "big")
                        for one in self._left:
                            self._windows[one] += initial - self._initial
                        self._initial = initial
                self._socket.sendall(frame(SETTINGS, ACK, 0))


@pytest.fixture
def model(make_model):
    return make_model(lambda x: {"y": x}, {"x": ("INT64", (None,))}, {"y": ("INT64", (None,))}, name="m")


@pytest.fixture
def connect():
    """Opens connections whose messages lack a byte."""
    found = []

    def connect(running, calls, size):
        found.append(Connection(running.where.grpc_port, calls, size))
        return found[-1]

    yield connect
    for one in found:
        one.stop.set()
        one.join()


def ask(running, size=1):
    values = np.arange(size)
    message = service_pb2.ModelInferRequest(model_name="m", raw_input_contents=[values.tobytes()])
    message.inputs.add(name="x", datatype="INT64", shape=values.shape)
    with grpc.insecure_channel(running.where.grpc_address) as channel:
        answer = service_pb2.ModelInferResponse.FromString(channel.unary_unary(METHOD)(message.SerializeToString()))
    assert answer.raw_output_contents[0] == values.tobytes()


def test_messages_that_are_coming_are_counted(serving, model, connect):
    with serving(model, grpc_port=0, read_seconds=1.0) as running:
        bodies = running.registry.bodies
        one = connect(running, calls=2, size=MIB)
        wait_until(lambda: bodies.held >= 2 * (MIB - 1))
        assert bodies.held < 2.1 * MIB
        ask(running, 400_000)
        # After a second the calls are refused, and nothing of them is left, though their connection stays.
        wait_until(lambda: bodies.held == 0)
        assert not one.closed.is_set()
        connect(running, calls=2, size=MIB)
        wait_until(lambda: bodies.held >= 2 * (MIB - 1))
    assert bodies.held == 0


def test_who_holds_most_is_cut_off(serving, model, connect):
    with serving(model, grpc_port=0, bodies_limit=8 * MIB) as running:
        bodies = running.registry.bodies
        small = connect(running, calls=1, size=MIB)
        wait_until(lambda: bodies.held >= MIB - 1)
        hogs = [connect(running, calls=5, size=MIB) for _ in range(4)]
        wait_until(lambda: sum(hog.closed.is_set() for hog in hogs) == 3)
        assert bodies.held <= 8 * MIB
        ask(running, 100_000)
        assert not small.closed.is_set()
        for one in (small, *hogs):
            one.stop.set()
    assert bodies.held == 0


def read(parts, skip=0):
    """What is told of a connection that comes in these parts: streams by number, whole or with what they hold."""
    held, ended = {}, []

    def data(stream, part, cost):
        held[stream] += len(part) + cost

    def end(stream):
        held.pop(stream, None)
        ended.append(stream)

    frames = Frames(skip, lambda stream: held.setdefault(stream, 0), data, end)
    for part in parts:
        frames.feed(part)
    return held, ended


FRAMES = (
    frame(SETTINGS, 0, 0)
    + frame(HEADERS, END_HEADERS, 1, HEAD)
    + frame(DATA, 0, 1, bytes(300))
    + frame(HEADERS, END_HEADERS, 3, HEAD)
    + frame(PING, 0, 0, bytes(8))
    + frame(DATA, 0, 3, bytes(70))
    + frame(DATA, END_STREAM, 1, bytes(20))
    + frame(HEADERS, END_HEADERS, 5, HEAD)
    + frame(DATA, 0, 5)
    + frame(HEADERS, END_HEADERS | END_STREAM, 7, HEAD)
    + frame(HEADERS, END_HEADERS, 9, HEAD)
    + frame(DATA, 0, 9, bytes(10))
    + frame(RST_STREAM, 0, 9, bytes(4))
    + frame(DATA, END_STREAM, 5)
)


@given(st.lists(st.integers(0, PREFACE + len(FRAMES))))
def test_frames_in_parts_of_any_size(cuts):
    bounds = [0, *sorted(cuts), None]
    whole = bytes(PREFACE) + FRAMES
    held, ended = read([whole[start:end] for start, end in pairwise(bounds)], PREFACE)
    assert held == {3: 70 + FRAME_COST}
    assert ended == [1, 7, 9, 5]


@given(st.lists(st.integers(0, 40), min_size=1), st.integers(0, 44), st.lists(st.integers(1, 30)))
def test_what_came_of_a_stream_s_messages_counts_until_each_is_whole(sizes, cut, steps):
    messages = [b"\0" + size.to_bytes(4, "big") + bytes(size) for size in sizes]
    data = b"".join(messages)[: -cut or None]
    whole = 0
    for message in messages:
        if whole + len(message) > len(data):
            break
        whole += len(message)
    incoming, at, told = Incoming(), 0, 0
    for step in [*steps, len(data)]:
        told += incoming.feed(memoryview(data)[at : at + step], 0)
        at += step
    assert told == incoming.held == len(data) - whole


def test_padded_data_counts_until_the_stream_ends():
    incoming = Incoming()
    incoming.followed = False
    assert incoming.feed(memoryview(b"\0\0\0\0\1x" * 10), FRAME_COST) == 60 + FRAME_COST
