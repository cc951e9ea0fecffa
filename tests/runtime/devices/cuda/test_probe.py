"""What keeps a GPU from being used is told in words that say what to do; nothing here needs one."""

import pytest

from chrion_runtime.engines.onnxruntime.cuda.probe import (
    Facts,
    first_use_problem,
    is_out_of_memory,
    libraries,
    look,
    problem,
)

FINE = Facts(cuda=13, driver_version=13010, devices=2)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (Facts(provider=False), "onnxruntime-gpu is not installed; install chrion[gpu]"),
        (Facts(cuda=13, driver="libcuda.so.1: no such file"), "there is no NVIDIA driver here (libcuda.so.1: no such"),
        (Facts(cuda=13, driver_version=12080, devices=1), "is for CUDA 12.8, and onnxruntime-gpu needs CUDA 13"),
        (Facts(cuda=13, driver_version=12080, code=100), "install a newer driver"),
        (Facts(cuda=13, driver_version=13000, code=100), "finds no GPU; check nvidia-smi"),
        (Facts(cuda=13, driver_version=13000, code=803), "restart the machine"),
        (Facts(cuda=13, driver_version=13000, code=999), "does not start (cuInit: 999)"),
        (Facts(cuda=13, driver_version=13000, devices=1), "there is no cuda:1, the last GPU is cuda:0"),
        (
            Facts(cuda=13, driver_version=13000, devices=2, missing=("libcudnn.so.9",), others=("libcudnn.so.8",)),
            "libcudnn.so.9 cannot be loaded (found libcudnn.so.8, of another major version); install chrion[gpu]",
        ),
        (
            Facts(cuda=13, driver_version=13000, devices=2, missing=("libcudart.so.13", "libcublas.so.13")),
            "libcudart.so.13, libcublas.so.13 cannot be loaded; install chrion[gpu]",
        ),
    ],
)
def test_each_problem_has_words_of_its_own(facts: Facts, words: str) -> None:
    found = problem(facts, 1)
    assert words in found
    assert found.isprintable()


def test_a_gpu_that_can_be_used_is_no_problem() -> None:
    assert problem(FINE, 0) == problem(FINE, 1) == ""
    assert "the last GPU is cuda:1" in problem(FINE, 2)


def test_this_machine_is_looked_at_for_real() -> None:
    facts = look()
    assert facts.devices or problem(facts, 0)


def test_libraries_have_the_major_version_that_is_needed() -> None:
    assert libraries(13)[0] == "libcudart.so.13"
    assert libraries(12)[2] == "libcublas.so.12"


@pytest.mark.parametrize(
    "text",
    [
        "CUDA failure 2: out of memory ; GPU=0 ; hostname=h ; file=cuda_allocator.cc ; expr=cudaMalloc(&p, size)",
        "Failed to allocate memory for requested buffer of size 4294967296",
        "Available memory of 1048576 is smaller than requested bytes of 4194304",
        "CUDNN failure 4000: CUDNN_STATUS_ALLOC_FAILED",
        "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED",
    ],
)
def test_memory_that_ran_out_is_told_from_other_failures(text: str) -> None:
    assert is_out_of_memory(text)
    assert "no memory for a CUDA context" in first_use_problem(RuntimeError(text))


def test_another_failure_is_passed_on_in_one_line() -> None:
    assert first_use_problem(RuntimeError("CUDA failure 700:\n an illegal access")) == (
        "CUDA cannot be used: CUDA failure 700: an illegal access"
    )
    assert not is_out_of_memory("CUDA failure 700: an illegal memory access was encountered")


def test_a_library_that_does_not_load_points_to_the_log() -> None:
    text = "CUDA Provider not available, can't get interface for it"
    assert "its log output says why" in first_use_problem(RuntimeError(text))
