"""The arena that all sessions on the CPU share, as ONNX Runtime has one for the process."""

import ctypes
import re
import threading
from contextlib import suppress
from functools import cached_property

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper

from chrion_graph.ort import session_options
from chrion_runtime.devices.run_memory import RUN_MEMORY

_AVAILABLE = re.compile(r"Available memory of (\d+)")
_SHRINK = "memory.enable_memory_arena_shrinkage"


class SessionArena:
    """See `Arena`."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._open = False
        self._limit = 0

    def share(self, options: ort.SessionOptions) -> None:
        """Have a session on the CPU take what it needs for its runs from the arena, which is opened for the first."""
        limit = RUN_MEMORY.limit
        with self._guard:
            if not self._open:
                memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
                # It grows by what is asked for, not by powers of two: free parts of it can be given back.
                arena = ort.OrtArenaCfg({"max_mem": limit, "arena_extend_strategy": 1})
                ort.create_and_register_allocator(memory, arena)
                # Sizes that overflow would have it write lines of its own; the error is told to who asked.
                ort.set_default_logger_severity(4)
                self._open, self._limit = True, limit
                RUN_MEMORY.add(self)
        options.add_session_config_entry("session.use_env_allocators", "1")

    def taken(self) -> int:
        try:
            self._probe.run(["z"], {"n": np.array([self._limit // 4 + 1024])})
        except Exception as error:  # noqa: BLE001, ONNX Runtime raises many types
            # There is no other way to ask. It fails before anything is taken.
            if found := _AVAILABLE.search(str(error)):
                return self._limit - int(found[1])
        return 0

    def trim(self) -> None:
        shrink = ort.RunOptions()
        shrink.add_run_config_entry(_SHRINK, "cpu:0")
        # No elements: an output in the arena would keep the part of it that it is in.
        self._probe.run(["z"], {"n": np.array([0])}, shrink)
        with suppress(AttributeError):  # other C libraries than GNU's
            ctypes.CDLL(None).malloc_trim(0)

    @cached_property
    def _probe(self) -> ort.InferenceSession:
        """A model that makes `n` zeros: none, to shrink the arena; more than there may be, to measure it."""
        node = helper.make_node("ConstantOfShape", ["n"], ["z"])
        n = helper.make_tensor_value_info("n", TensorProto.INT64, [1])
        z = helper.make_tensor_value_info("z", TensorProto.FLOAT, [None])
        model = helper.make_model(
            helper.make_graph([node], "probe", [n], [z]), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
        )
        options = session_options(ort.GraphOptimizationLevel.ORT_DISABLE_ALL)
        self.share(options)
        return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


ARENA = SessionArena()
"""This process's."""
