"""Kernels shared by everything that may share them: isomorphic stages, slots, and successive plans."""

import threading
import weakref
from collections.abc import Mapping
from pathlib import Path

from chrion_api import Stage
from chrion_runtime.devices import Device
from chrion_runtime.devices.run_memory import RUN_MEMORY
from chrion_runtime.engines import Kernel, Site, engine_named
from chrion_runtime.engines.identity import KernelIdentity, identity


class KernelStore:
    """Keeps each kernel for as long as something holds it.

    A sub-model's file is named by its content, so isomorphic stages with the same weights are one kernel.
    """

    def __init__(self, spin: bool = True) -> None:
        """`spin` False lets no kernel's idle threads wait actively: not where others of the process need the cores."""
        self._spin = spin
        self.limit: int | None = None
        """What all may take of a device's memory, in bytes; holds for kernels that are loaded from now on."""
        self.arena_budgets: Mapping[KernelIdentity, int] = {}
        """The part of it that each kernel may take; one that is not named may take what the context leaves."""
        self._lock = threading.Lock()
        self._kernels: weakref.WeakValueDictionary[tuple[KernelIdentity, bool], Kernel] = weakref.WeakValueDictionary()

    def get(self, stage: Stage, path: Path, device: Device, spin: bool, host_bytes: int = 0) -> Kernel:
        """The kernel of a stage, whose sub-model is a file; compiled where there is none.

        `host_bytes`, which it takes outside of arenas, count for as long as it lives. Raises PlanRefused,
        DeviceUnavailable.
        """
        key = identity(stage, path)
        spin = spin and self._spin
        with self._lock:
            kernel = self._kernels.get((key, spin))
            if kernel is None:
                limit = self.arena_budgets.get(key)
                if limit is None and self.limit is not None:
                    limit = self.limit - device.memory.context_bytes
                site = Site(device, len(stage.lanes), spin, limit)
                RUN_MEMORY.check_room(host_bytes)
                kernel = engine_named(stage.engine).compile(path, site, stage.options)
                RUN_MEMORY.charge(kernel, host_bytes)
                self._kernels[key, spin] = kernel
            return kernel

    def __len__(self) -> int:
        """Kernels that are alive."""
        return len(self._kernels)
