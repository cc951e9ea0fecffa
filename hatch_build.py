"""Builds the recurrent kernels, which are in C, into the package: `python hatch_build.py`, or whatever installs Chrion.

There is a library for each set of vector instructions; which one a processor runs is decided when it is loaded. Without
a C compiler Chrion is installed without them, and runs recurrent layers by ONNX Runtime.
"""

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = Path("runtime/chrion_runtime/engines/recurrent")
SOURCES, BUILT = PACKAGE / "native", PACKAGE / "built"
REQUIRED = "CHRION_REQUIRE_RECURRENT"

BUILDS = {
    "x86_64": {
        "avx512": ("-march=skylake-avx512", "-mprefer-vector-width=512"),
        "avx2": ("-march=haswell",),
        "x86-64": ("-march=x86-64",),
    },
    "aarch64": {"aarch64": ("-march=armv8-a",)},
}
"""Compiler flags by processor and by the name of the build."""

FLAGS = ("-std=gnu11", "-O3", "-fPIC", "-shared", "-fvisibility=hidden", "-fno-math-errno", "-ffp-contract=fast")
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")


def build(root: Path, flags: tuple[str, ...] = (), built: Path = BUILT) -> str:
    """Build every library for this processor's kind; why there is none, or an empty text.

    `flags` are more of the compiler's, such as sanitizers. Raises CalledProcessError where the compiler fails.
    """
    machine = platform.machine()
    compiler = os.environ.get("CC") or next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), "")
    if sys.platform != "linux" or machine not in BUILDS:
        return f"there are no recurrent kernels for {sys.platform} on {machine}"
    if not compiler or not shutil.which(compiler):
        return f"there is no C compiler{f' {compiler}' if compiler else ''}"
    (root / built).mkdir(parents=True, exist_ok=True)
    sources = sorted(str(path) for path in (root / SOURCES).glob("*.c"))
    running = []
    for name, extra in BUILDS[machine].items():
        new = root / built / f".recurrent-{name}.so"
        command = [compiler, *FLAGS, *WARNINGS, *extra, *flags, *sources, "-o", str(new)]
        running.append((subprocess.Popen(command), new, root / built / f"recurrent-{name}.so"))
    failed = [process.args for process, _, _ in running if process.wait()]
    if failed:
        raise subprocess.CalledProcessError(1, failed[0])
    for _, new, library in running:
        new.replace(library)  # one that is loaded stays as it is
    return ""


class RecurrentKernels(BuildHookInterface[Any]):
    """What hatchling calls for a wheel, and for an editable install."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build them, and have the wheel hold them. Raises RuntimeError where they are required and cannot be built."""
        del version
        problem = build(Path(self.root))
        if not problem:
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
            build_data["artifacts"].append(f"/{BUILT}/*.so")
        elif os.environ.get(REQUIRED) == "1":
            raise RuntimeError(f"the recurrent kernels cannot be built, and {REQUIRED} is 1: {problem}")
        else:
            self.app.display_warning(f"Chrion is installed without its recurrent kernels: {problem}")


if __name__ == "__main__":
    sys.exit(build(Path(__file__).parent))
