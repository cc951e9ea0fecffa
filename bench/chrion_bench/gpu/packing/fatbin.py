"""Zero machine code in a CUDA library that one GPU never runs, so that it compresses to a fraction.

The library keeps its size and layout. Payloads of fat binary entries for other architectures become zeros, which the
driver never loads; so do unwanted ones for this architecture, which are marked as if they were for another. Where one
of them is called all the same, CUDA says that there is no kernel image. For carrying to a host, not for distribution.
"""

import mmap
import re
import struct
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

_MAGIC = struct.pack("<I", 0xBA55ED50)
_HEADER = struct.Struct("<IHHQ")
"""Magic, version, size of this header, size of all entries."""
_ENTRY = struct.Struct("<HHIQ")
"""Kind, version, size of this header, size of the payload."""
_ARCHITECTURE = struct.Struct("<I")
_ARCHITECTURE_AT, _LEAST_ENTRY = 28, 64
_KINDS = {1: "ptx", 2: "elf"}
_ELSEWHERE = 75
"""The architecture that unwanted code is marked with."""
_ZSTD = b"\x28\xb5\x2f\xfd"

LARGE_MODELS = re.compile(rb"[mM]oe|fpA_intB|[fF]lash|kernel_mha|cutlass")
"""In the names of kernels that only large language models use: nine tenths of the machine code of ONNX Runtime's CUDA
provider. Its 32-bit products and recurrent layers are cuBLAS's and cuDNN's."""

Seen = Counter[tuple[int, str]]
"""Bytes by architecture and what they are: `ptx` or `elf`, or `unwanted`."""


def nothing(payload: bytes) -> bool:
    """Want all of it."""
    del payload
    return False


def prune(library: Path, keep: int, unwanted: Callable[[bytes], bool] = nothing) -> Seen:
    """Zero what is not for the architecture `keep` (90 for sm_90), and of that what is unwanted, in place."""
    seen: Seen = Counter()
    with library.open("r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        at = data.find(_MAGIC)
        while at != -1:
            end = _end(data, at)
            if end is None:
                at = data.find(_MAGIC, at + len(_MAGIC))
                continue
            _prune_entries(data, at + _HEADER.size, end, keep, unwanted, seen)
            at = data.find(_MAGIC, end)
    return seen


def only_for_large_models(payload: bytes) -> bool:
    """Whether an entry has kernels, and all of them are `LARGE_MODELS`'. Raises OSError where zstd is not installed."""
    if payload.startswith(_ZSTD):
        # Padding may follow the frame, of which zstd complains after it wrote the frame.
        payload = subprocess.run(["zstd", "-dcq"], input=payload, capture_output=True, check=False).stdout
    kernels = set(re.findall(rb"\.text\.(\w+)", payload))
    return bool(kernels) and all(map(LARGE_MODELS.search, kernels))


def _end(data: mmap.mmap, at: int) -> int | None:
    """Where the fat binary that begins here ends; None where none does."""
    if at + _HEADER.size > len(data):
        return None
    _, version, header, size = _HEADER.unpack_from(data, at)
    end = at + header + size
    return int(end) if version == 1 and header == _HEADER.size and end <= len(data) else None


def _prune_entries(
    data: mmap.mmap, entry: int, end: int, keep: int, unwanted: Callable[[bytes], bool], seen: Seen
) -> None:
    while entry + _LEAST_ENTRY <= end:
        kind, _, header, payload = _ENTRY.unpack_from(data, entry)
        begin, after = entry + header, entry + header + payload
        if kind not in _KINDS or header < _LEAST_ENTRY or after > end:
            return
        (architecture,) = _ARCHITECTURE.unpack_from(data, entry + _ARCHITECTURE_AT)
        what = _KINDS[kind]
        if architecture == keep and unwanted(data[begin:after]):
            _ARCHITECTURE.pack_into(data, entry + _ARCHITECTURE_AT, _ELSEWHERE)
            what = "unwanted"
        if architecture != keep or what == "unwanted":
            data[begin:after] = bytes(payload)
        seen[architecture, what] += payload
        entry = after
