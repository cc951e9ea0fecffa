"""The Dockerfiles, which cannot be built everywhere that tests run: what can be said of them by reading."""

import ast
import json
import re
import shlex
import sys
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
IMAGES = ("operator", "planner", "runtime")
NONROOT = "65532:65532"
DISTRIBUTIONS = {"yaml": "pyyaml", "prometheus_client": "prometheus-client", "pydantic_core": "pydantic-core"}
"""Modules whose distribution has another name."""


@dataclass
class Stage:
    base: str
    name: str | None
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        return [value for name, value in self.steps if name == instruction]


def parse(path: Path) -> tuple[dict[str, str], list[Stage]]:
    """The arguments before the first stage, and the stages with their instructions."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        instruction, _, value = line.partition(" ")
        assert re.fullmatch("[A-Z]+", instruction), line
        if instruction == "FROM":
            base, _, name = value.partition(" AS ")
            stages.append(Stage(base, name or None))
        elif stages:
            stages[-1].steps.append((instruction, value.strip()))
        else:
            assert instruction == "ARG", line
            name, _, default = value.partition("=")
            arguments[name] = default
    return arguments, stages


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps a path out of the build, by the last pattern that matches it or a folder of it."""
    found = False
    for pattern in (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n"):
        if pattern and not pattern.startswith("#"):
            bare = pattern.removeprefix("!").removeprefix("**/")
            parts = [path, *map(str, Path(path).parents), *(Path(path).parts if "**/" in pattern else ())]
            if any(fnmatch(part, bare) for part in parts if part != "."):
                found = not pattern.startswith("!")
    return found


@pytest.fixture(params=IMAGES)
def image(request):
    return request.param, *parse(ROOT / request.param / "Dockerfile")


def test_stages_have_one_pinned_base(image):
    _, arguments, stages = image
    assert [stage.name for stage in stages] == ["build", None]
    assert {stage.base for stage in stages} == {"docker.io/library/python:${PYTHON_TAG}${PYTHON_DIGEST}"}
    assert re.fullmatch(r"3\.1[1-3]-slim-\w+", arguments["PYTHON_TAG"])
    assert "PYTHON_DIGEST" in arguments


def test_runs_as_nobody_and_by_a_program(image):
    name, _, (_, final) = image
    assert final.all("USER") == [NONROOT]
    user = final.steps.index(("USER", NONROOT))
    assert all(instruction in ("ENTRYPOINT", "CMD") for instruction, _ in final.steps[user + 1 :])
    (entry,) = map(json.loads, final.all("ENTRYPOINT"))
    assert entry == (["python", "-m", "chrion_operator"] if name == "operator" else ["chrion"])


def test_what_is_copied_is_there(image):
    _, _, (build, final) = image
    assert final.all("COPY") == ["--from=build /opt/chrion /opt/chrion"]
    for copy in build.all("COPY"):
        *sources, target = shlex.split(copy)
        assert target == "./" or [target] == sources
        for source in sources:
            assert (ROOT / source).exists(), source
            assert not ignored(source), source
            assert not ignored(f"{source}/chrion_{source}/__init__.py"), source
    copied = {source for copy in build.all("COPY") for source in shlex.split(copy)[:-1]}
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert "hatch_build.py" in copied
    for package in re.findall(r'^  "(\w+)/chrion\w*",$', project, re.MULTILINE):
        assert package in copied, f"the wheel needs {package}"


def test_nothing_else_reaches_the_build():
    for path in (".git/config", ".venv/bin/python", "tests/conftest.py", ".models/a.onnx", "api/__pycache__/a.pyc"):
        assert ignored(path), path
    assert ignored("runtime/chrion_runtime/engines/recurrent/built/recurrent-avx2.so"), "the image's own are built"


def test_planner_and_runtime_have_the_recurrent_kernels_or_fail(image):
    name, _, (build, final) = image
    has = name != "operator"
    compiler = [place for place, (_, value) in enumerate(build.steps) if " gcc libc6-dev " in value]
    required = [place for place, step in enumerate(build.steps) if step == ("ENV", "CHRION_REQUIRE_RECURRENT=1")]
    (wheel,) = (place for place, (_, value) in enumerate(build.steps) if "uv build" in value)
    assert len(compiler) == len(required) == has
    assert all(place < wheel for place in compiler + required)
    assert any("CHRION_REQUIRE_RECURRENT=1" in shlex.split(value) for value in final.all("ENV")) == has


def test_all_that_is_installed_is_locked(image):
    _, _, (build, _) = image
    (installs,) = [run for run in build.all("RUN") if "uv pip install" in run]
    for command in installs.split("&&"):
        if "uv pip install" in command:
            assert "--constraint requirements.lock" in command or "--no-deps" in command


def test_planner_and_runtime_choose_their_onnxruntime():
    for name in ("planner", "runtime"):
        build = parse(ROOT / name / "Dockerfile")[1][0]
        assert "ONNXRUNTIME=cpu" in build.all("ARG")
        assert any("chrion[${ONNXRUNTIME}," in run for run in build.all("RUN"))


def test_the_operator_has_what_it_imports_and_no_onnxruntime():
    run = parse(ROOT / "operator" / "Dockerfile")[1][0].all("RUN")[-1]
    installed = set(run.partition("requirements.lock ")[2].partition("&&")[0].split())
    assert "onnxruntime" not in run
    for folder in ("operator", "api"):
        for path in (ROOT / folder).rglob("*.py"):
            for module in imports(path):
                if module not in sys.stdlib_module_names and not module.startswith("chrion_"):
                    assert DISTRIBUTIONS.get(module, module) in installed, f"{path} imports {module}"


def imports(path: Path) -> set[str]:
    """The top-level modules that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found
