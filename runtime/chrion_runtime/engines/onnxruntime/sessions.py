"""Sessions as stages need them: their options, and what ends their runs."""

import onnxruntime as ort

from chrion_api import Optimization
from chrion_graph.ort import bound_loading
from chrion_runtime.stop import Stop

_LEVELS = {
    # Sub-models are cut from a graph that is normalised already.
    Optimization.ALL: ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    Optimization.NONE: ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}


def session_options(threads: int, optimization: Optimization, spin: bool) -> ort.SessionOptions:
    """Options of a session on whatever device; `spin` lets its idle threads wait actively."""
    found = ort.SessionOptions()
    found.graph_optimization_level = _LEVELS[optimization]
    found.intra_op_num_threads = threads
    found.inter_op_num_threads = 1
    found.log_severity_level = 4  # what goes wrong reaches the caller as an exception
    bound_loading(found)
    if threads > 1 and not spin:
        # Idle threads of one session would otherwise steal the cores of the next.
        found.add_session_config_entry("session.force_spinning_stop", "1")
    return found


def stoppable(options: ort.RunOptions, stop: Stop | None) -> ort.RunOptions:
    """These run options, through which `stop` ends a session's run: ONNX Runtime looks between nodes, also in Loops."""

    def terminate() -> None:
        options.terminate = True

    if stop is not None:
        stop.on_set(terminate)
    return options
