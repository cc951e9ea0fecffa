"""The kernels against a plain reference in C: every build, under sanitizers, and that for ARM by an emulator.

`native/check.c` makes random stacks of layers and runs each by several threads at once, which share a team of helpers;
`native/takeover.c` stops those wherever they hand over.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from chrion_runtime.devices.cpu import flags
from chrion_runtime.engines.recurrent.library import BUILDS

ROOT = Path(__file__).parents[4]
TESTS = Path(__file__).parent / "native"
ARM = ("aarch64-linux-gnu-gcc", "qemu-aarch64")

_spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
assert _spec
assert _spec.loader
BUILDING = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(BUILDING)

COMPILED = {name: extra for builds in BUILDING.BUILDS.values() for name, extra in builds.items()}
"""The compiler's flags for each build."""


def compiler() -> list[str]:
    command, problem = BUILDING.compiler()
    if problem:
        if os.environ.get(BUILDING.REQUIRED) == "1":
            pytest.fail(problem)
        pytest.skip(problem)
    return command


def check(
    command: list[str], build: str, folder: Path, *extra: str, under: tuple[str, ...] = (), arguments: str
) -> None:
    """Compile the kernels with the tests, and run those: `arguments` are `PROBLEMS STRIDE [timed]`, see `check.c`.

    `timed` is for people on an idle machine: how long a caller takes whose helper is stopped depends on what else runs.
    """
    sources = {path for at in (ROOT / BUILDING.SOURCES, TESTS) for path in at.glob("*.c")}
    left_out = "memory.c" if "-fsanitize=address,undefined" in extra else "guarded_memory.c"
    subprocess.run(
        [
            *command,
            *(flag for flag in BUILDING.FLAGS if flag not in ("-shared", "-fPIC")),
            *(*BUILDING.WARNINGS, *COMPILED[build], *extra),
            *("-include", TESTS / "bounds.h", f"-I{ROOT / BUILDING.SOURCES}"),
            *sorted(str(path) for path in sources if path.name != left_out),
            *("-pthread", "-lm", "-o", str(folder / "check")),
        ],
        check=True,
    )
    done = subprocess.run(
        [*under, folder / "check", *arguments.split()],
        env={**os.environ, "ASAN_OPTIONS": "allocator_may_return_null=1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if "unexpected memory mapping" in done.stderr:
        pytest.skip("ThreadSanitizer cannot run here: sysctl vm.mmap_rnd_bits=28 lets it")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.fullmatch(r"[1-9]\d* problems, [1-9]\d* handovers, \d+ stops, 0 failures\n", done.stdout)


@pytest.mark.parametrize("build", [name for name in BUILDS if BUILDS[name] <= flags()])
def test_build_answers_as_the_reference_does_and_keeps_to_its_memory(build: str, tmp_path: Path) -> None:
    sanitizers = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    fastest = next(name for name in BUILDS if BUILDS[name] <= flags())
    check(compiler(), build, tmp_path, *sanitizers, arguments="300 7" if build == fastest else "300 0")


def test_threads_share_nothing_that_one_of_them_writes(tmp_path: Path) -> None:
    fastest = next(name for name in BUILDS if BUILDS[name] <= flags())
    check(compiler(), fastest, tmp_path, "-O1", "-g", "-fsanitize=thread", arguments="150 7")


@pytest.mark.skipif("aarch64" in BUILDS and "asimd" in flags(), reason="it is no emulator's work here")
@pytest.mark.skipif(not all(map(shutil.which, ARM)), reason=f"there is no {' or no '.join(ARM)}")
def test_arm_by_an_emulator(tmp_path: Path) -> None:
    check([ARM[0]], "aarch64", tmp_path, "-static", under=ARM[1:], arguments="60 23")
