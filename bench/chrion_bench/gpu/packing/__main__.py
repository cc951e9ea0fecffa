"""Pack what bench/gpu/run needs on an offline GPU host: bench/gpu/pack.

Run it with a network, in a checkout that `make setup` was run in. It writes bench/gpu/carried.tar.xz: onnxruntime-gpu
with the machine code of one GPU architecture, the locked wheels that the host lacks, and the real models. It needs
Linux on x86-64, and CUDA 13 with cuDNN 9 from a toolkit or from pip packages; neither is packed. Packing takes zstd.
"""

import argparse
import lzma
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import onnxruntime as ort

from chrion_api import ChrionError
from chrion_bench.gpu.packing.fatbin import nothing, only_for_large_models, prune
from chrion_bench.gpu.packing.wheels import CannotPack, Target, host_packages, locked, missing
from chrion_bench.gpu.suite import REAL_FILES
from chrion_models import real

ROOT = Path(__file__).resolve().parents[4]
CARRIED = ROOT / "bench" / "gpu" / "carried.tar.xz"
CUDA_PROVIDER = "onnxruntime/capi/libonnxruntime_providers_cuda.so"

_GLIBC = 35
"""Wheels may ask for glibc 2.35 or older: Ubuntu 22.04 and later have it."""
_UNUSED = (
    "onnxruntime/transformers",
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "onnxruntime/datasets",
    "onnxruntime/capi/libonnxruntime.so.*",
    "onnxruntime/capi/libonnxruntime_providers_tensorrt.so",
    "pulp/solverdir/cbc",
    "pulp/tests",
    "bin",
)
"""What nothing here uses: HiGHS solves, and TensorRT's provider is no use without TensorRT, whose libraries are larger
than all of this."""
_FILTERS = [
    {"id": lzma.FILTER_X86},
    {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 256 << 20},
]


def main(arguments: Sequence[str] | None = None) -> int:
    """Pack; 1 with the reason where it cannot be done or does not fit."""
    options = _parser().parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="chrion-pack-") as folder:
            site = Path(folder)
            _fill(site, options.host, Target(options.python))
            _prune(
                site / CUDA_PROVIDER, options.architecture, nothing if options.all_kernels else only_for_large_models
            )
            _archive(site, options.output)
    except ChrionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    size = options.output.stat().st_size / 2**20
    print(f"{options.output}: {size:.1f} MiB")
    if size > options.size:
        print(f"error: more than {options.size:g} MiB; name what the host has in --host", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench/gpu/pack", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--host",
        type=Path,
        metavar="FILE",
        help="what the host has: its `pip list --format=json`, or a line a package; without it, all is packed",
    )
    parser.add_argument("--python", default="3.12", help="the host's Python; default: 3.12")
    parser.add_argument(
        "--architecture", type=int, default=90, help="the GPU's, without its dot; default: 90 (H100, H200)"
    )
    parser.add_argument(
        "--all-kernels",
        action="store_true",
        help="keep code of the GPU that only large language models use, some 40 MiB",
    )
    parser.add_argument("--size", type=float, default=40, metavar="MIB", help="what the archive may be; default: 40")
    parser.add_argument("--output", type=Path, default=CARRIED, metavar="FILE", help=f"default: {CARRIED.name}")
    return parser


def _fill(site: Path, host: Path | None, target: Target) -> None:
    there = host_packages(host.read_text(encoding="utf-8")) if host else {}
    lines = missing(
        _roots(), _requires, locked((ROOT / "requirements.lock").read_text(encoding="utf-8"), target), there, target
    )
    print("carried:", ", ".join(line.split("==")[0] for line in lines))
    _install(lines, site, target, "--require-hashes")
    # The version that plans are made with here: profiles and digests hold for it.
    _install([f"onnxruntime-gpu=={ort.__version__}"], site, target)
    for pattern in _UNUSED:
        for path in site.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    models = site / "models"
    models.mkdir()
    for path in real.fetch(files=REAL_FILES).values():
        shutil.copy(path, models)


def _prune(library: Path, architecture: int, unwanted: Callable[[bytes], bool]) -> None:
    try:
        kernels = prune(library, architecture, unwanted)
    except OSError as error:
        raise CannotPack(f"zstd is needed to look into CUDA code: apt-get install zstd ({error})") from None
    if not any(found == architecture for found, _ in kernels):
        raise CannotPack(f"onnxruntime-gpu has no machine code for sm_{architecture}: {sorted(kernels)}")
    for (found, what), nbytes in sorted(kernels.items()):
        kept = found == architecture and what != "unwanted"
        print(f"sm_{found} {what}: {nbytes / 1e6:.1f} MB {'kept' if kept else 'zeroed'}")


def _roots() -> list[str]:
    """What the bench imports: the project's own requirements, and ONNX Runtime's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], "onnxruntime"]


def _requires(name: str) -> Iterable[str]:
    try:
        return requires(name) or ()
    except PackageNotFoundError:
        raise CannotPack(f"{name} is not installed here, so that its requirements are not known: make setup") from None


def _install(requirements: Sequence[str], site: Path, target: Target, *options: str) -> None:
    """Unpack wheels for the target into a folder. Raises CannotPack where pip cannot."""
    if not requirements:
        return
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in range(_GLIBC, 4, -1)] + ["manylinux2014_x86_64"]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(requirements) + "\n")
        file.flush()
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
        command += ["--no-deps", "--only-binary=:all:", "--implementation=cp", f"--python-version={target.python}"]
        command += [*(f"--platform={platform}" for platform in platforms), *options]
        command += ["--upgrade", "--target", str(site), "--requirement", file.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"pip ended with exit code {done.returncode}"]
        raise CannotPack(said[-1].removeprefix("ERROR: "))


def _archive(site: Path, output: Path) -> None:
    """One file, written aside and renamed; x86 code is filtered so that it compresses better."""
    aside = output.with_name(f".{output.name}")
    with (
        lzma.open(aside, "wb", format=lzma.FORMAT_XZ, filters=_FILTERS) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        archive.add(site, arcname=".")
    aside.replace(output)


if __name__ == "__main__":
    sys.exit(main())
