"""Zero the machine code of other GPU architectures in a CUDA library, so that it compresses to a fraction.

The library keeps its size and layout. Only the payloads of fat binary entries for other architectures become zeros,
which the driver never loads on a GPU of the architecture that is kept. For carrying to one host, not for distribution.
"""

import mmap
import struct
from collections import Counter
from pathlib import Path

_MAGIC = struct.pack("<I", 0xBA55ED50)
_HEADER = struct.Struct("<IHHQ")
"""Magic, version, size of this header, size of all entries."""
_ENTRY = struct.Struct("<HHIQ")
"""Kind, version, size of this header, size of the payload."""
_ARCHITECTURE_AT, _LEAST_ENTRY = 28, 64
_KINDS = {1: "ptx", 2: "elf"}


def prune(library: Path, keep: int) -> Counter[tuple[int, str]]:
    """Zero what is not for the architecture `keep` (90 for sm_90), in place; bytes by architecture and kind."""
    seen: Counter[tuple[int, str]] = Counter()
    with library.open("r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        at = data.find(_MAGIC)
        while at != -1:
            end = _end(data, at)
            if end is None:
                at = data.find(_MAGIC, at + len(_MAGIC))
                continue
            _prune_entries(data, at + _HEADER.size, end, keep, seen)
            at = data.find(_MAGIC, end)
    return seen


def _end(data: mmap.mmap, at: int) -> int | None:
    """Where the fat binary that begins here ends; None where none does."""
    if at + _HEADER.size > len(data):
        return None
    _, version, header, size = _HEADER.unpack_from(data, at)
    end = at + header + size
    return int(end) if version == 1 and header == _HEADER.size and end <= len(data) else None


def _prune_entries(data: mmap.mmap, entry: int, end: int, keep: int, seen: Counter[tuple[int, str]]) -> None:
    while entry + _LEAST_ENTRY <= end:
        kind, _, header, payload = _ENTRY.unpack_from(data, entry)
        begin, after = entry + header, entry + header + payload
        if kind not in _KINDS or header < _LEAST_ENTRY or after > end:
            return
        (architecture,) = struct.unpack_from("<I", data, entry + _ARCHITECTURE_AT)
        seen[architecture, _KINDS[kind]] += payload
        if architecture != keep:
            data[begin:after] = bytes(payload)
        entry = after
