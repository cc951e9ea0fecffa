"""What is packed for an offline host: the packages that it lacks, and libraries without other GPUs' code."""

import shutil
import struct
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest

from chrion_bench.gpu.packing.__main__ import ROOT, _roots
from chrion_bench.gpu.packing.fatbin import only_for_large_models, prune
from chrion_bench.gpu.packing.wheels import CannotPack, Target, host_packages, locked, missing

LOCK = """\
a==1.0 \\
    --hash=sha256:11
b==2.0 ; sys_platform == 'linux' \\
    --hash=sha256:22
b==1.5 ; sys_platform == 'win32' \\
    --hash=sha256:33
c==3.0 \\
    --hash=sha256:44 \\
    --hash=sha256:55
"""
NEEDS = {
    "a": ["b>=2", 'windows-only; sys_platform == "win32"', 'c; extra == "more"'],
    "b": [],
    "c": ["a"],
    "onnxruntime": ["c>=3"],
}
TARGET = Target()


def carried(roots: list[str], host: dict[str, str]) -> list[str]:
    lines = missing(roots, NEEDS.__getitem__, locked(LOCK, TARGET), host, TARGET)
    return [line.partition("==")[0] for line in lines]


def test_what_is_needed_is_carried_with_what_it_needs() -> None:
    assert carried(["a"], {}) == ["a", "b"]
    assert carried(["a[more]"], {}) == ["a", "b", "c"]
    assert carried(["onnxruntime"], {}) == ["a", "b", "c"], "not ONNX Runtime, but what it needs"


def test_what_the_host_has_stays_at_home() -> None:
    assert carried(["a"], {"b": "2.1"}) == ["a"]
    assert carried(["a"], {"b": "1.9"}) == ["a", "b"], "too old"
    assert carried(["a"], {"b": ""}) == ["a"], "a version that is not known will do"
    assert carried(["a"], {"a": "1.0"}) == [], "what it needs came with it"


def test_lines_of_the_lock_keep_their_hashes() -> None:
    (line,) = missing(["b"], NEEDS.__getitem__, locked(LOCK, TARGET), {}, TARGET)
    assert line.split() == ["b==2.0", ";", "sys_platform", "==", "'linux'", "--hash=sha256:22"]


def test_what_is_not_locked_is_an_error() -> None:
    with pytest.raises(CannotPack, match=r"other is needed and not in requirements\.lock"):
        carried(["other"], {})


def test_host_packages() -> None:
    assert host_packages('[{"name": "Foo_Bar", "version": "1.2"}]') == {"foo-bar": "1.2"}
    assert host_packages("numpy==2.1\nscipy\n# a comment\n\n") == {"numpy": "2.1", "scipy": ""}


@pytest.mark.parametrize("text", ["[1, 2]", "[oops", "numpy>=2", "two words"])
def test_other_lists_of_packages_are_refused(text: str) -> None:
    with pytest.raises(CannotPack, match="the host's packages"):
        host_packages(text)


def test_the_project_itself_can_be_packed() -> None:
    lock = locked((ROOT / "requirements.lock").read_text(encoding="utf-8"), TARGET)
    lines = missing(_roots(), lambda name: requires(name) or (), lock, {"numpy": "2.4.0", "onnx": "1.19.0"}, TARGET)
    names = {line.partition("==")[0] for line in lines}
    assert {"pulp", "orjson", "pydantic", "pydantic-core", "highspy"} <= names
    assert not {"numpy", "onnx", "mypy", "ruff", "kubernetes", "onnxruntime"} & names
    assert all("--hash=" in line for line in lines)


def entry(kind: int, architecture: int, payload: bytes) -> bytes:
    header = struct.pack("<HHIQ", kind, 0x101, 64, len(payload)) + bytes(12) + struct.pack("<I", architecture)
    return header.ljust(64, b"\1") + payload


def fat(*entries: bytes) -> bytes:
    content = b"".join(entries)
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(content)) + content


def test_machine_code_of_other_gpus_is_zeroed(tmp_path: Path) -> None:
    mine, other, ptx = b"M" * 100, b"O" * 200, b"P" * 50
    lone = struct.pack("<I", 0xBA55ED50)  # the magic number where there is no fat binary
    before = (
        b"host code" + lone + fat(entry(2, 90, mine), entry(2, 80, other)) + b"more" + fat(entry(1, 75, ptx)) + lone
    )
    library = tmp_path / "library.so"
    library.write_bytes(before)
    assert prune(library, 90) == {(90, "elf"): 100, (80, "elf"): 200, (75, "ptx"): 50}
    assert library.read_bytes() == before.replace(other, bytes(200)).replace(ptx, bytes(50))


def test_unwanted_code_is_zeroed_and_marked_as_for_another_gpu(tmp_path: Path) -> None:
    mine, unwanted = b"M" * 100, b"U" * 200
    library = tmp_path / "library.so"
    library.write_bytes(fat(entry(2, 90, mine), entry(2, 90, unwanted)))
    assert prune(library, 90, lambda payload: payload == unwanted) == {(90, "elf"): 100, (90, "unwanted"): 200}
    assert library.read_bytes() == fat(entry(2, 90, mine), entry(2, 75, bytes(200)))


def test_code_for_large_models_alone_is_unwanted() -> None:
    def code(*kernels: str) -> bytes:
        return b"\x7fELF" + b"\0".join(f".text.{kernel}".encode() for kernel in kernels)

    assert only_for_large_models(code("_Z5flash_fwd", "_Z3moeGemm"))
    assert not only_for_large_models(code("_Z5flash_fwd", "_Z7_GatherKernel"))
    assert not only_for_large_models(code())


@pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is not installed")
def test_code_is_decompressed_first() -> None:
    packed = subprocess.run(["zstd", "-cq"], input=b".text._Z5flash_fwd\0", capture_output=True, check=True).stdout
    assert only_for_large_models(packed + bytes(7)), "padding after the frame does no harm"


def test_pack_says_what_it_takes() -> None:
    done = subprocess.run([ROOT / "bench/gpu/pack", "--help"], capture_output=True, text=True, check=True, env=_env())
    assert "--architecture" in done.stdout


def _env() -> dict[str, str]:
    return {"PYTHON": sys.executable, "PATH": "/usr/bin:/bin"}
