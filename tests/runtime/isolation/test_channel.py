"""What two processes say to each other through shared memory; and what is made of what nobody should say."""

import os
import socket
from contextlib import contextmanager

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from chrion_runtime.isolation.channel import INLINE, KEPT, Channel
from chrion_runtime.isolation.region import Region

DTYPES = ["?", "<i1", "<u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8"]


@contextmanager
def ends():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    one, other = Channel(ours), Channel(theirs)
    try:
        yield one, other, ours
    finally:
        one.close()
        other.close()


def tensors():
    shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6)
    numbers = st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, shapes))
    texts = st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5)
    return st.lists(st.one_of(numbers, texts.map(lambda text: np.array(text, dtype=object))), max_size=5)


@settings(max_examples=100, deadline=None)
@given(st.lists(tensors(), min_size=1, max_size=4))
def test_what_is_sent_arrives(messages):
    with ends() as (one, other, _):
        for number, sent in enumerate(messages):
            one.send({"number": number}, sent)
            message, found = other.receive()
            assert message["number"] == number
            assert len(found) == len(sent)
            for array, expected in zip(found, sent, strict=True):
                assert (array.dtype, array.shape) == (expected.dtype, expected.shape)
                np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("size", [1, 1 << 20, KEPT + 1, 3 * KEPT, 7])
def test_large_and_small_in_turn(size):
    with ends() as (one, other, _):
        for nbytes in (8, size, 8):
            sent = np.arange(nbytes, dtype=np.uint8)
            one.send({}, [sent])
            _, (found,) = other.receive()
            np.testing.assert_array_equal(found, sent)


def test_alike_messages_carry_what_each_of_them_says():
    with ends() as (one, other, _):
        for number in range(5):
            sent = [np.full((2, 3), number, np.float32), np.array([number]), np.array([str(number)], dtype=object)]
            for chosen in (sent, sent[:2]):
                one.send({}, chosen)
                for array, expected in zip(other.receive()[1], chosen, strict=True):
                    np.testing.assert_array_equal(array, expected)
            one.send({}, [np.zeros((number + 1) << 16, np.uint8)])  # in other memory each time
            other.receive()


def test_a_message_larger_than_a_packet():
    with ends() as (one, other, _):
        text = "x" * (4 * INLINE)
        one.send({"text": text}, [np.ones(3)])
        message, (found,) = other.receive()
        assert message["text"] == text
        np.testing.assert_array_equal(found, np.ones(3))


def test_arrays_that_lie_otherwise_in_memory():
    with ends() as (one, other, _):
        sent = [np.arange(12).reshape(3, 4).T, np.arange(9)[::2], np.broadcast_to(np.float32(2), (2, 3))]
        one.send({}, sent)
        for array, expected in zip(other.receive()[1], sent, strict=True):
            np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize(
    "place",
    [
        ["<f4", [1 << 40], 0],
        ["<f4", [4], 1 << 60],
        ["<f4", [4], -8],
        ["<f4", [-1], 0],
        ["<f4", [1 << 32, 1 << 32], 0],
        ["|O", [1], 0],
        ["|V8", [1], 0],
    ],
)
def test_a_tensor_that_is_not_within_the_memory_is_refused(place):
    with ends() as (one, other, ours):
        one.send({}, [np.zeros(4)])
        other.receive()
        ours.send(b"I{}\n" + orjson.dumps([place]))
        with pytest.raises(ValueError, match=r"memory|tensor"):
            other.receive()


@pytest.mark.parametrize(
    "data", [b"I{", b"Ix", b"L", b"L" + b"\xff" * 16, b"?", b"I{}", b"I{}\n", b"I{}\n[1]", b"I\n[]"]
)
def test_what_is_no_message_is_an_error(data):
    with ends() as (_, other, ours):
        ours.send(data)
        with pytest.raises((ValueError, KeyError, TypeError)):
            other.receive()


def test_the_end_is_seen():
    with ends() as (one, other, _):
        one.close()
        with pytest.raises(EOFError):
            other.receive()


def test_memory_that_could_be_taken_away_is_refused():
    fd = os.memfd_create("plain")
    os.ftruncate(fd, 4096)
    with pytest.raises((ValueError, OSError)):
        Region(fd)
