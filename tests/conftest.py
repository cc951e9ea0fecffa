"""What tests of every part use: real models, bad models and inputs for generated ones."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pytest

import chrion_graph  # noqa: F401, before ONNX Runtime is: it keeps that from reporting on its users
from chrion_models import real
from chrion_models.families import ModelCase
from chrion_models.inputs import random_inputs
from tests.support.bad_models import write_bad_models

CaseInputs = Callable[..., dict[str, npt.NDArray[Any]]]

# A shell's background job ignores Ctrl-C, and so would every process that the tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """A worker for each core where all tests run, and none where some are asked for by file or by name."""
    all_of_them = config.args_source is config.ArgsSource.TESTPATHS and not config.option.keyword
    return len(os.sched_getaffinity(0)) if all_of_them else 0


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The folder of the real models (`nsnet2.onnx`, `silero_vad.onnx`, …), fetched when they are not there yet."""
    try:
        real.fetch()
    except real.ModelUnavailable as error:
        if os.environ.get("CI"):
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))
    return real.MODELS_DIR


@pytest.fixture(scope="session")
def bad_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The paths of models that must be refused or held within limits; `tests.support.bad_models` says what is wrong."""
    return write_bad_models(tmp_path_factory.mktemp("bad_models"))


@pytest.fixture(scope="session")
def case_inputs() -> CaseInputs:
    """Random inputs of a ModelCase: `case_inputs(case, seed=0)` gives an array for every input."""

    def inputs(case: ModelCase, seed: int = 0) -> dict[str, npt.NDArray[Any]]:
        return random_inputs(case.build(), case.inputs, case.values, seed)

    return inputs


@pytest.fixture
def busy() -> Iterator[None]:
    """A machine with two processes a core that do nothing but count."""
    command = [sys.executable, "-c", "print(flush=True)\nwhile True: pass"]
    others = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2 * len(os.sched_getaffinity(0)))]
    try:
        for other in others:
            assert other.stdout is not None
            other.stdout.readline()
        yield
    finally:
        for other in others:
            other.kill()
            other.communicate()
