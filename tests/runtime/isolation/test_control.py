"""The line to a group's process: whatever the process does on it, the server does not wait for it."""

import socket
import threading
from pathlib import Path

import pytest

from chrion_runtime.isolation.control import MOST_BYTES, Control

TICK = 0.01


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def line():
    """The parent's end, the process's end, and what is under the latter."""
    ours, theirs = socket.socketpair()
    parent, process = Control(ours), Control(theirs)
    yield parent, process, theirs
    parent.close()
    process.close()


def test_both_are_heard(line):
    parent, process, _ = line
    parent.tell("open", 1, b"x" * (1 << 16))
    assert process.told() == ("open", 1, b"x" * (1 << 16))
    assert parent.reported(TICK) is None
    thread = threading.Thread(target=process.report, args=({"text": "y" * (1 << 20)},))
    thread.start()
    while (found := parent.reported(TICK)) is None:
        pass
    thread.join()
    assert found == {"text": "y" * (1 << 20)}


def test_half_a_message_is_not_waited_for(line):
    parent, _, raw = line
    raw.sendall((10).to_bytes(8, "little") + b"[1,")
    for _ in range(3):
        assert parent.reported(TICK) is None
    raw.sendall(b"2,3,4]  ")
    assert parent.reported(TICK) == [1, 2, 3, 4]


def test_a_message_that_is_too_large_is_refused(line):
    parent, _, raw = line
    raw.sendall((MOST_BYTES + 1).to_bytes(8, "little"))
    with pytest.raises(ValueError, match="a message of 67108865 bytes"):
        parent.reported(TICK)


def test_who_does_not_read_what_it_is_told_is_hung_up_on(line):
    parent, _, _ = line
    with pytest.raises(TimeoutError):
        parent.tell("answered", b"x" * (1 << 22), seconds=0.05)
    with pytest.raises(OSError, match="Broken pipe"):
        parent.tell("stop", 1)
    with pytest.raises(EOFError):
        parent.reported(TICK)


def test_descriptors_that_a_process_sends_are_not_taken(line):
    parent, _, raw = line
    before = descriptors()
    for _ in range(20):
        socket.send_fds(raw, [(2).to_bytes(8, "little") + b"{}"], [0] * 8)
        assert parent.reported(TICK) == {}
    assert descriptors() == before
