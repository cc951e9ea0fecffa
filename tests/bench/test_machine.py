"""What the machine is said to be."""

import pytest

from chrion_bench import machine


def test_memory_is_read_by_all_threads_at_some_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_LEAST_BYTES", 1 << 20)
    monkeypatch.setattr(machine, "last_level_cache", lambda: 0)
    assert machine.memory_bandwidth(threads=2) > 0
