"""How sessions on a GPU are set up."""

import onnxruntime as ort

from chrion_runtime.engines.onnxruntime.cuda.probe import PROVIDER

USE_TF32 = False
"""Whether products of 32-bit floats are rounded to TF32 (10 bits of mantissa), which ONNX Runtime does by default.

Not here: over the steps of a recurrent layer answers may leave the stated tolerance (not yet measured). Sessions that
are measured beside plans are set alike (`provider`), so that neither side gains by it.
"""

LEAST_LIMIT = 1 << 20
"""A session's memory is never limited below this."""


def provider(index: int) -> tuple[str, dict[str, str]]:
    """The CUDA provider as people use it, but for what must be alike in all that is compared."""
    return PROVIDER, {"device_id": str(index), "use_tf32": str(int(USE_TF32))}


def stage_provider(index: int, capture: bool, limit: int | None) -> tuple[str, dict[str, str]]:
    """The CUDA provider for a stage: its arena grows by what is asked for, up to `limit` bytes where one is given.

    Kept at their defaults because values that another lane reads must be complete when a run ends:
    `do_copy_in_default_stream` (1) has copies go in order with the kernels, and no run option says
    `disable_synchronize_execution_providers`, so that Run() ends with cudaStreamSynchronize on the session's stream.
    """
    name, options = provider(index)
    options["arena_extend_strategy"] = "kSameAsRequested"
    if capture:
        options["enable_cuda_graph"] = "1"
    if limit is not None:
        options["gpu_mem_limit"] = str(max(limit, LEAST_LIMIT))
    return name, options


def run_options(graph_id: int, shrink: int | None = None) -> ort.RunOptions:
    """Options of a run that captures and replays graph `graph_id`, or with -1 none; `shrink` names a GPU whose arena is
    to give back what is free in it when the run ends."""
    found = ort.RunOptions()
    found.add_run_config_entry("gpu_graph_id", str(graph_id))
    if shrink is not None:
        found.add_run_config_entry("memory.enable_memory_arena_shrinkage", f"gpu:{shrink}")
    return found
