"""The house around the code: layout, imports, dependencies and generated files are what they should be."""

import ast
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from chrion_api.schema import DOCUMENTS, schema_text

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
LOCKED_EXTRAS = ("cpu", "openvino", "operator", "cluster", "dev")
COMPONENTS = ("api", "graph", "runtime", "planner", "operator", "cli", "bench")
PACKAGES = COMPONENTS[:-1]
FOLDERS = (*COMPONENTS, "charts", "crds", "examples", "docs", "tests")


def lock_entries() -> list[tuple[Requirement, int]]:
    """Each requirement of the lock, and how many hashes it has."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    found = []
    for line in filter(None, text.splitlines()):
        requirement, *hashes = re.split(r"\s+--hash=", line.strip())
        found.append((Requirement(requirement), len(hashes)))
    return found


def test_imports_run_one_way() -> None:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_product_tests_and_examples_do_not_import_the_bench() -> None:
    files = {*ROOT.glob("tests/**/*.py"), *ROOT.glob("examples/**/*.py")} - {*ROOT.glob("tests/bench/**/*.py")}
    importing = [
        path for path in files if re.search(r"^\s*(from|import) chrion_bench\b", path.read_text(), re.MULTILINE)
    ]
    assert not importing, "generated and real models are in chrion_models, what tests share in tests/support"


@pytest.mark.parametrize("folder", FOLDERS)
def test_folder_of_the_design_exists(folder: str) -> None:
    assert (ROOT / folder).is_dir()


@pytest.mark.parametrize("folder", COMPONENTS)
def test_component_folder_is_no_package(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists(), "it would shadow a module of that name"


def test_standard_library_is_not_shadowed() -> None:
    program = "import operator; print(operator.__file__); operator.add"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not Path(done.stdout.strip()).is_relative_to(ROOT / "operator")


def test_no_two_public_classes_share_a_name() -> None:
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    named = Counter(
        statement.name
        for file in files
        for statement in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(statement, ast.ClassDef) and not statement.name.startswith("_")
    )
    assert {name for name, times in named.items() if times > 1} == set()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_schema_is_in_sync(name: str) -> None:
    written = (ROOT / "docs" / "schema" / f"{name}.schema.json").read_text(encoding="utf-8")
    assert written == schema_text(name), "the types changed: run `make schema` and commit docs/schema"


def test_version_is_consistent() -> None:
    text = (ROOT / PROJECT["tool"]["hatch"]["version"]["path"]).read_text(encoding="utf-8")
    written = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    assert written
    assert version("chrion") == written[1], "installed under another version: touch pyproject.toml and run `make setup`"
    assert f"## [{written[1]}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_cpu_and_gpu_conflict_and_agree() -> None:
    assert [{"extra": "cpu"}, {"extra": "gpu"}] in PROJECT["tool"]["uv"]["conflicts"]
    cpu, gpu = (
        next(one for one in map(Requirement, EXTRAS[extra]) if one.name.startswith("onnxruntime"))
        for extra in ("cpu", "gpu")
    )
    assert (cpu.name, gpu.name) == ("onnxruntime", "onnxruntime-gpu")
    assert cpu.specifier == gpu.specifier


def test_build_requirements_are_locked_too() -> None:
    assert set(PROJECT["build-system"]["requires"]) <= set(EXTRAS["dev"])


def test_dependencies_are_bounded() -> None:
    everything = [*PROJECT["project"]["dependencies"], *(item for extra in EXTRAS.values() for item in extra)]
    for text in everything:
        bounds = {item.operator for item in Requirement(text).specifier}
        assert {">=", "<"} <= bounds, f"{text}: give it a lower and an upper bound"


def test_lock_holds_every_dependency_within_its_bounds() -> None:
    locked: dict[str, list[Version]] = {}
    for requirement, _ in lock_entries():
        (pin,) = requirement.specifier
        assert pin.operator == "=="
        locked.setdefault(canonicalize_name(requirement.name), []).append(Version(pin.version))
    wanted = [*PROJECT["project"]["dependencies"], *(item for extra in LOCKED_EXTRAS for item in EXTRAS[extra])]
    for text in wanted:
        requirement = Requirement(text)
        versions = locked.get(canonicalize_name(requirement.name))
        assert versions, f"{text} is not in requirements.lock: run `make lock`"
        assert all(found in requirement.specifier for found in versions), f"{text} has {versions}: run `make lock`"


def test_lock_is_by_hash_and_names_no_host() -> None:
    assert all(hashes for _, hashes in lock_entries())
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    assert "index-url" not in text


def test_ci_script_can_be_run() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    subprocess.run(["bash", "-n", ".ci/run"], cwd=ROOT, check=True)


def test_no_library_takes_the_signals_of_the_tests_over() -> None:
    """Where SIGPIPE is not ignored a peer that hangs up ends the process, and all tests that it has left with it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (ignored,) = re.findall(r"^SigIgn:\s*([0-9a-f]+)$", status, re.MULTILINE)
    assert int(ignored, 16) >> (signal.SIGPIPE - 1) & 1
