"""Libraries that are missing, damaged or another's: a sentence that says so, and never a crash."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chrion_runtime.devices.cpu import flags
from chrion_runtime.engines.recurrent.library import BUILDS, FOLDER, SUMS
from tests.support.kernels import needs_kernels

FASTEST = next((name for name, needs in BUILDS.items() if needs <= flags()), "")
PROGRAM = """
import os, sys
from pathlib import Path
from chrion_runtime.engines import engine_named, engines_on
from chrion_runtime.engines.recurrent import library
from chrion_runtime.errors import PlanRefused

library.FOLDER = Path(sys.argv[1])
engine = engine_named("recurrent")
print(engine.problem("cpu"), "recurrent" in engines_on("cpu"), sep="\\n")
os.environ["CHRION_REQUIRE_RECURRENT"] = "1"
try:
    print(engine.problem("cpu"))
except PlanRefused as error:
    print(error)
"""

pytestmark = needs_kernels


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The libraries, to be spoilt."""
    return shutil.copytree(FOLDER, tmp_path / "built")


def said(folder: Path, **environment: str) -> str:
    """Why the kernels cannot be used; where they are required that is an error, and says the same."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, folder],
        env={**os.environ, "CHRION_REQUIRE_RECURRENT": "0", "CHRION_RECURRENT_BUILD": "", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    problem, there, refusal = done.stdout.splitlines()
    assert there == str(not problem)
    if problem:
        why = problem.removeprefix("the recurrent kernels are missing: ")
        assert refusal == f"the recurrent kernels are missing, and CHRION_REQUIRE_RECURRENT is 1: {why}"
        return why
    return ""


def sign(folder: Path) -> None:
    """Have the digests agree with the libraries again."""
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in folder.glob("*.so")]
    (folder / SUMS).write_text("".join(lines))


def cut_short(folder: Path) -> None:
    path = folder / f"recurrent-{FASTEST}.so"
    os.truncate(path, path.stat().st_size // 2)


def emptied(folder: Path) -> None:
    os.truncate(folder / f"recurrent-{FASTEST}.so", 0)


def of_another_processor(folder: Path) -> None:
    path = folder / f"recurrent-{FASTEST}.so"
    content = bytearray(path.read_bytes())
    content[18:20] = (8).to_bytes(2, "little")  # e_machine: MIPS
    path.write_bytes(content)
    sign(folder)


def no_library(folder: Path) -> None:
    (folder / f"recurrent-{FASTEST}.so").write_text(100 * "This is none.\n")
    sign(folder)


def of_another_version(folder: Path) -> None:
    compile_library(folder, "int interface_version(void) { return 0; }")


def of_another_kind(folder: Path) -> None:
    compile_library(folder, "int something(void) { return 0; }")


def compile_library(folder: Path, text: str) -> None:
    library = folder / f"recurrent-{FASTEST}.so"
    command = [os.environ.get("CC", "cc"), "-shared", "-fPIC", "-x", "c", "-", "-o", library]
    subprocess.run(command, input=text, text=True, check=True)
    sign(folder)


def unsigned(folder: Path) -> None:
    (folder / SUMS).unlink()


def signed_with_nonsense(folder: Path) -> None:
    (folder / SUMS).write_bytes(bytes(range(256)))


def of_another_wheel(folder: Path) -> None:
    for path in folder.glob("*.so"):
        path.unlink()
    (folder / "recurrent-of-another-processor.so").touch()
    sign(folder)


def never_built(folder: Path) -> None:
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (cut_short, "{path} is damaged; install Chrion again"),
        (emptied, "{path} is damaged; install Chrion again"),
        (unsigned, "{path} is damaged; install Chrion again"),
        (signed_with_nonsense, "{path} is damaged; install Chrion again"),
        (of_another_processor, "{path} cannot be loaded (cannot open shared object file"),
        (no_library, "{path} cannot be loaded (invalid ELF header); install Chrion again"),
        (of_another_kind, "{path} cannot be loaded (undefined symbol: interface_version); install Chrion"),
        (of_another_version, "{path} belongs to another version of Chrion; install Chrion again"),
        (of_another_wheel, "those in {folder} are for other processors; install Chrion again"),
        (never_built, "there was no C compiler to build them; install gcc and libc6-dev, then Chrion again"),
    ],
)
def test_spoilt(folder: Path, spoil: Callable[[Path], None], sentence: str) -> None:
    spoil(folder)
    assert said(folder).startswith(sentence.format(folder=folder, path=folder / f"recurrent-{FASTEST}.so"))


def test_untouched(folder: Path) -> None:
    assert said(folder) == ""


def test_a_slower_build_stands_in_for_one_that_is_not_there(folder: Path) -> None:
    (folder / f"recurrent-{FASTEST}.so").unlink()
    others = [name for name, needs in BUILDS.items() if needs <= flags() and (folder / f"recurrent-{name}.so").exists()]
    assert bool(said(folder)) == (not others)


@pytest.mark.parametrize("build", BUILDS)
def test_a_build_is_chosen_by_name_where_the_processor_runs_it(folder: Path, build: str) -> None:
    expected = "" if BUILDS[build] <= flags() else "cannot run"
    assert expected in (found := said(folder, CHRION_RECURRENT_BUILD=build))
    assert bool(found) == bool(expected)


def test_a_name_that_no_build_has(folder: Path) -> None:
    assert said(folder, CHRION_RECURRENT_BUILD="avx3") == (
        "CHRION_RECURRENT_BUILD is avx3; it must be one of avx512-vnni, avx512, avx2, x86-64, aarch64"
    )
