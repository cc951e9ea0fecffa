"""What all runs of this process may take of the host's memory together: one limit, and what they leave given back.

Every session on the CPU takes what it needs from one arena: weights as it packs them, inner values, and outputs for as
long as anyone holds them, so also the states that sequences keep. The text of strings is taken elsewhere and does not
count. What goes over the limit fails, and nothing else does.
"""

import ctypes
import re
import threading
from contextlib import suppress
from functools import cached_property
from time import monotonic

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper

from chrion_graph.limits import free_bytes
from chrion_graph.ort import session_options
from chrion_runtime.errors import RuntimeFailure

LIMIT = "(--run-memory, spec.limits.runMemory)"
"""Where the limit is set, for errors."""

SPARE = 64 << 20
"""Bytes that the arena may keep beyond what is usual: to give back less is not worth the work."""
TIMES_USUAL = 2
"""It may keep so many times what was taken once the models were loaded: more runs at once and longer ones are usual."""
PAUSE, LONGEST_PAUSE = 1.0, 300.0
"""Seconds from one look at the arena to the next. It doubles while each look finds it large: then large is usual."""

STATES_PART = 2
"""The states that sequences keep may take half of the limit together, so that there is something left to run with."""
ANSWERS_PART = 4
"""Answers on their way may take a quarter as much as runs."""

_AVAILABLE = re.compile(r"Available memory of (\d+)")
_SHRINK = "memory.enable_memory_arena_shrinkage"


class RunMemory:
    """The limit, and the arena that it holds for. There is one a process, `RUN_MEMORY`, as ONNX Runtime has it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._limit: int | None = None
        self._open = False
        self.usual = 0
        """Bytes that were taken once the models had been loaded."""
        self._next_look = 0.0
        self._pause = PAUSE

    @property
    def limit(self) -> int:
        """Bytes for all runs together: what was set, or three quarters of what the process could still take when
        it was first asked for, which is what planning allows a model too."""
        with self._guard:
            if self._limit is None:
                self._limit = max(1, free_bytes() * 3 // 4)
            return self._limit

    def hold_to(self, limit: int) -> None:
        """Set the limit, in bytes. Raises RuntimeFailure once there is a session, for then it is too late."""
        with self._guard:
            if self._open and limit != self._limit:
                raise RuntimeFailure("the memory of runs is limited before the first model of a process is loaded")
            self._limit = limit

    def share(self, options: ort.SessionOptions) -> None:
        """Have a session on the CPU take what it needs for its runs from the common arena."""
        limit = self.limit
        with self._guard:
            if not self._open:
                memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
                # It grows by what is asked for, not by powers of two: free parts of it can be given back.
                arena = ort.OrtArenaCfg({"max_mem": limit, "arena_extend_strategy": 1})
                ort.create_and_register_allocator(memory, arena)
                # Sizes that overflow would have it write lines of its own; the error is told to who asked.
                ort.set_default_logger_severity(4)
                self._open = True
        options.add_session_config_entry("session.use_env_allocators", "1")

    def taken(self) -> int:
        """Bytes that the arena holds now; some of them may be free for the next run."""
        if not self._open:
            return 0
        try:
            self._probe.run(["z"], {"n": np.array([self.limit // 4 + 1024])})
        except Exception as error:  # noqa: BLE001, ONNX Runtime raises many types
            # There is no other way to ask. It fails before anything is taken.
            if found := _AVAILABLE.search(str(error)):
                return self.limit - int(found[1])
        return 0

    def trim(self) -> int:
        """Give back what is free in the arena; the bytes of it that are still held.

        Runs that follow take it again, which costs them page faults.
        """
        if not self._open:
            return 0
        shrink = ort.RunOptions()
        shrink.add_run_config_entry(_SHRINK, "cpu:0")
        # No elements: an output in the arena would keep the part of it that it is in.
        self._probe.run(["z"], {"n": np.array([0])}, shrink)
        with suppress(AttributeError):  # other C libraries than GNU's
            ctypes.CDLL(None).malloc_trim(0)
        return self.taken()

    def settle(self) -> None:
        """Called when a model has run for the first time: what is held now is usual."""
        self.usual = max(self.usual, self.taken())

    def tend(self) -> None:
        """Give back what unusual runs have left. To be called often; most calls return at once."""
        now = monotonic()
        if now < self._next_look:
            return
        self._next_look = now + self._pause
        if self.taken() <= SPARE + TIMES_USUAL * self.usual:
            self._pause = PAUSE
            return
        self.trim()
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

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


RUN_MEMORY = RunMemory()
"""This process's."""
