"""ONNX Runtime as an instrument: quiet sessions to look at models with, and readable errors."""

import re

import onnxruntime as ort

_NOISE = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : \w+ : "
    r"|Load model from .*? failed:"
    r"|Exception during initialization: "
    # Source position and signature of a C++ function.
    r"|/onnxruntime_src/\S+:\d+ .*?\([^()]*\)(?:::<lambda\([^()]*\)>)?(?: const)? "
    r"|\b\w+\.cc:\d+ \w+ "
)


def session_options(level: ort.GraphOptimizationLevel) -> ort.SessionOptions:
    """Options of a session for looking at a model: one thread, one optimisation level, no chatter."""
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    bound_loading(options)
    return options


def bound_loading(options: ort.SessionOptions) -> None:
    """Keep the time to load a session linear in its nodes.

    Planning which values may take each other's place compares every value with every free one: 20 s for a grid of
    3,400 nodes whose shapes are open. Without it the arena reuses their memory at the same speed.
    """
    options.enable_mem_reuse = False


def brief(error: BaseException) -> str:
    """The sentence of one of ONNX Runtime's errors, without its codes and source positions."""
    text = _NOISE.sub("", " ".join(str(error).split()))
    return text if len(text) <= 400 else f"{text[:399]}…"
