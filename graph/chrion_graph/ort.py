"""ONNX Runtime as an instrument: quiet sessions to look at models with, and readable errors."""

import onnxruntime as ort


def session_options(level: ort.GraphOptimizationLevel) -> ort.SessionOptions:
    """Options of a session for looking at a model: one thread, one optimisation level, no chatter."""
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return options


def brief(error: BaseException) -> str:
    """The sentence of one of ONNX Runtime's errors, without its codes and source positions."""
    text = " ".join(str(error).split())
    text = text.removeprefix("[ONNXRuntimeError] : ")
    parts = text.split(" : ", 2)
    if len(parts) == 3 and parts[0].isdecimal():
        text = parts[2]
    return text[:300]
