"""Packages with the kernels, built from a copy of the sources, and without them where there is no C compiler."""

import os
import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
PARTS = ("api", "graph", "runtime", "planner", "operator", "cli")
FILES = ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", ".gitignore")
FOLDER = "chrion_runtime/engines/recurrent"
BUILDS = {"x86_64": {"avx512-vnni", "avx512", "avx2", "x86-64"}, "aarch64": {"aarch64"}}.get(platform.machine(), set())
LIBRARIES = {f"{FOLDER}/built/recurrent-{name}.so" for name in BUILDS}

needs_compiler = pytest.mark.skipif(
    not (shutil.which("cc") or os.environ.get("CHRION_REQUIRE_RECURRENT") == "1"), reason="there is no C compiler"
)


def built(source: Path, what: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Have hatchling build `what` into `source/out`, as pip and uv do; its name is the last line that is printed."""
    program = f"import hatchling.build; print(hatchling.build.build_{what}('out'))"
    kept = {name: value for name, value in os.environ.items() if name not in ("CC", "CHRION_REQUIRE_RECURRENT")}
    return subprocess.run(
        [sys.executable, "-c", program], cwd=source, env=kept | environment, capture_output=True, text=True, check=False
    )


def package(source: Path, what: str, **environment: str) -> Path:
    done = built(source, what, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return source / "out" / done.stdout.splitlines()[-1]


def installed(wheel: Path, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", folder, wheel]
    subprocess.run(command, check=True)
    return folder


def problem(site: Path) -> str:
    """What an installed Chrion says of its kernels."""
    program = "from chrion_runtime.engines import engine_named; print(engine_named('recurrent').problem('cpu'))"
    environment = {**os.environ, "PYTHONPATH": str(site), "CHRION_REQUIRE_RECURRENT": "0"}
    return subprocess.check_output([sys.executable, "-c", program], env=environment, text=True).strip()


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources as an archive of them has them."""
    source = tmp_path_factory.mktemp("source")
    for part in PARTS:
        shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__", "built"))
    for file in FILES:
        shutil.copy(ROOT / file, source)
    stale = source / "runtime" / FOLDER / "built" / "recurrent-avx2.so"
    stale.parent.mkdir()
    stale.write_bytes(b"of another machine")
    return package(source, "sdist")


@pytest.fixture
def source(sdist: Path, tmp_path: Path) -> Path:
    """What is unpacked of it."""
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (found,) = tmp_path.glob("chrion-*")
    return found


@pytest.fixture
def compiler(tmp_path: Path) -> Path:
    """A compiler that finds the headers, and fails on anything more."""
    path = tmp_path / "cc"
    path.write_text('#!/bin/sh\ncase "$*" in "-E "*) ;; *) exit 1 ;; esac\n')
    path.chmod(0o755)
    return path


def test_the_source_archive_holds_the_sources_and_nothing_built(source: Path) -> None:
    native = source / "runtime" / FOLDER / "native"
    here = ROOT / "runtime" / FOLDER / "native"
    assert {path.name for path in native.iterdir()} == {path.name for path in here.iterdir()}
    assert (source / "hatch_build.py").is_file()
    assert not (native.parent / "built").exists()


@needs_compiler
def test_a_wheel_of_this_platform_holds_the_libraries_and_no_sources(source: Path, tmp_path: Path) -> None:
    wheel = package(source, "wheel")
    assert wheel.name.endswith(f"-py3-none-linux_{platform.machine()}.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {name for name in names if name.startswith(f"{FOLDER}/built/")} == {*LIBRARIES, f"{FOLDER}/built/SHA256SUMS"}
    assert not {name for name in names if name.endswith((".c", ".h")) or "/native/" in name}
    site = installed(wheel, tmp_path / "site")
    assert problem(site) == ""
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=site / FOLDER / "built", check=True)


@needs_compiler
def test_an_editable_install_builds_them_in_place(source: Path) -> None:
    package(source, "editable")
    assert {path.name for path in (source / "runtime" / FOLDER / "built").glob("*.so")} == {
        Path(name).name for name in LIBRARIES
    }


def test_without_a_compiler_chrion_is_installed_and_says_what_it_lacks(source: Path, tmp_path: Path) -> None:
    done = built(source, "wheel", PATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert said.count("installed without its recurrent kernels, and runs those layers by ONNX Runtime") == 1
    assert "there is no C compiler cc; to have them, install gcc and libc6-dev, and then Chrion again" in said
    (wheel,) = (source / "out").iterdir()
    assert wheel.name.endswith("-py3-none-any.whl")
    assert problem(installed(wheel, tmp_path / "site")) == (
        "the recurrent kernels are missing: there was no C compiler to build them; install gcc and libc6-dev, then "
        "Chrion again"
    )


@pytest.mark.parametrize(
    ("command", "why"),
    [("false", "false does not find the C library's headers"), ("compiler", "fails on them, and has said why")],
)
def test_with_a_compiler_that_fails_too(source: Path, compiler: Path, command: str, why: str) -> None:
    done = built(source, "wheel", CC=str(compiler) if command == "compiler" else command)
    assert done.returncode == 0, done.stderr
    assert why in done.stdout + done.stderr
    assert next((source / "out").iterdir()).name.endswith("-py3-none-any.whl")


def test_where_they_are_required_a_package_without_them_is_an_error(source: Path, tmp_path: Path) -> None:
    done = built(source, "wheel", PATH=str(tmp_path), CHRION_REQUIRE_RECURRENT="1")
    assert done.returncode
    assert (
        "RuntimeError: the recurrent kernels cannot be built, and CHRION_REQUIRE_RECURRENT is 1: there is no C compiler"
    ) in done.stderr
    assert not list(source.glob("out/*"))


@pytest.mark.parametrize("required", ["0", "1"])
def test_make_builds_them_where_it_can(source: Path, tmp_path: Path, required: str) -> None:
    environment = {"PATH": str(tmp_path), "CHRION_REQUIRE_RECURRENT": required}
    command = [sys.executable, "hatch_build.py"]
    done = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == int(required)
    assert done.stderr.count("\n") == 1
    assert "there is no C compiler cc" in done.stderr
