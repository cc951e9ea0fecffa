"""Builds the recurrent kernels, which are in C, into the package: `python hatch_build.py`, or whatever installs Chrion.

There is a library for each set of vector instructions; which one a processor runs is decided when it is loaded. Without
a C compiler Chrion is installed without them, and runs recurrent layers by ONNX Runtime.
"""

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = Path("runtime/chrion_runtime/engines/recurrent")
SOURCES, BUILT = PACKAGE / "native", PACKAGE / "built"
SUMS = "SHA256SUMS"
"""The file beside the libraries that says what they are, so that none that is damaged is loaded."""

REQUIRED = "CHRION_REQUIRE_RECURRENT"
"""Where this is 1, libraries that cannot be built are an error."""

WITHOUT = "Chrion is installed without its recurrent kernels, and runs those layers by ONNX Runtime"
ADVICE = "to have them, install gcc and libc6-dev, and then Chrion again"

BUILDS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "x86_64": {
        "avx512-vnni": ("-march=cascadelake", "-mprefer-vector-width=512"),
        "avx512": ("-march=skylake-avx512", "-mprefer-vector-width=512"),
        "avx2": ("-march=haswell",),
        "x86-64": ("-march=x86-64",),
    },
    "aarch64": {"aarch64": ("-march=armv8-a",)},
}
"""Compiler flags by processor and by the name of the build."""

FLAGS = (
    "-std=gnu11",
    "-O3",
    "-fPIC",
    "-shared",
    "-pthread",
    "-fvisibility=hidden",
    "-fno-math-errno",
    "-ffp-contract=fast",
)
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")


def compiler() -> tuple[list[str], str]:
    """The C compiler's command, and why it cannot be used, or an empty text."""
    command = shlex.split(os.environ.get("CC", "")) or [
        next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), "cc")
    ]
    if not shutil.which(command[0]):
        return command, f"there is no C compiler {command[0]}; {ADVICE}"
    probe = subprocess.run(
        [*command, "-E", "-include", "string.h", "-x", "c", os.devnull], capture_output=True, check=False
    )
    return command, f"{command[0]} does not find the C library's headers; {ADVICE}" if probe.returncode else ""


def build(root: Path) -> str:
    """Build every library for this processor's kind; why there is none, or an empty text.

    Raises CalledProcessError where the compiler fails on them.
    """
    machine = platform.machine()
    if sys.platform != "linux" or machine not in BUILDS:
        return f"there are no recurrent kernels for {sys.platform} on {machine}"
    program, problem = compiler()
    if problem:
        return problem
    (root / BUILT).mkdir(parents=True, exist_ok=True)
    sources = sorted(str(path) for path in (root / SOURCES).glob("*.c"))
    running = []
    for name, extra in BUILDS[machine].items():
        library = root / BUILT / f"recurrent-{name}.so"
        new = library.with_name(f".{library.name}")
        command = [*program, *FLAGS, *WARNINGS, *extra, *sources, "-o", str(new)]
        running.append((subprocess.Popen(command), new, library))
    failed = [process for process, _, _ in running if process.wait()]
    if failed:
        for _, new, _ in running:
            new.unlink(missing_ok=True)
        raise subprocess.CalledProcessError(failed[0].returncode, failed[0].args)
    sums = [f"{hashlib.sha256(new.read_bytes()).hexdigest()}  {library.name}\n" for _, new, library in running]
    for _, new, library in running:
        new.replace(library)  # one that is loaded stays as it is
    (root / BUILT / SUMS).write_text("".join(sums), encoding="ascii")
    return ""


class RecurrentKernels(BuildHookInterface[Any]):
    """What hatchling calls for a wheel, and for an editable install."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build them, and have the wheel hold them. Raises RuntimeError where they are required and cannot be built."""
        del version
        try:
            problem = build(Path(self.root))
        except subprocess.CalledProcessError as error:
            problem = f"{error.cmd[0]} fails on them, and has said why"
        if not problem:
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
            build_data["artifacts"] += [f"/{BUILT}/*.so", f"/{BUILT}/{SUMS}"]
        elif os.environ.get(REQUIRED) == "1":
            raise RuntimeError(f"the recurrent kernels cannot be built, and {REQUIRED} is 1: {problem}")
        else:
            self.app.display_warning(f"{WITHOUT}: {problem}")


def main() -> int:
    """Build them, or say why not: an error where they are required."""
    if problem := build(Path(__file__).parent):
        print(f"{WITHOUT}: {problem}", file=sys.stderr)
    return int(bool(problem) and os.environ.get(REQUIRED) == "1")


if __name__ == "__main__":
    sys.exit(main())
