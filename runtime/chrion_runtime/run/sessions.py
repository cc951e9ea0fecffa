"""Sessions shared by everything that may share them: isomorphic stages, slots, and successive plans."""

import threading
import weakref
from collections.abc import Mapping
from pathlib import Path

import onnxruntime as ort

from chrion_api import ChrionError, Optimization
from chrion_graph.ort import brief
from chrion_runtime.devices import HOST, Device
from chrion_runtime.devices.cuda.probe import is_out_of_memory
from chrion_runtime.devices.run_memory import LIMIT, RUN_MEMORY
from chrion_runtime.errors import PlanRefused
from chrion_runtime.run.arena_budget import SessionKey


class SessionStore:
    """Keeps each session for as long as something holds it; keyed by sub-model, lane scope and options.

    A sub-model's file is named by its content, so isomorphic stages with the same weights are one key.
    """

    def __init__(self, spin: bool = True) -> None:
        """`spin` False lets no session's idle threads wait actively: not where others of the process need the cores."""
        self._spin = spin
        self.limit: int | None = None
        """What all may take of a device's memory, in bytes; holds for sessions that are loaded from now on."""
        self.arena_budgets: Mapping[SessionKey, int] = {}
        """The part of it that each session's arena may take; one that is not named may take what the context leaves."""
        self._lock = threading.Lock()
        self._sessions: weakref.WeakValueDictionary[tuple[object, ...], ort.InferenceSession] = (
            weakref.WeakValueDictionary()
        )

    def get(
        self,
        path: Path,
        device: Device,
        lanes: tuple[str, ...],
        optimization: Optimization,
        spin: bool,
        capture: bool = False,
    ) -> ort.InferenceSession:
        """The session of a sub-model's file; built where there is none. Raises PlanRefused where it cannot be."""
        spin = spin and self._spin
        key = (path, device.scope(lanes[0]), len(lanes), optimization, spin, capture)
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                share = self.arena_budgets.get((path, lanes, optimization, capture))
                if share is None and self.limit is not None:
                    share = self.limit - device.context_bytes
                session = _load(path, device, len(lanes), optimization, spin, capture, share)
                self._sessions[key] = session
            return session

    def __len__(self) -> int:
        """Sessions that are alive."""
        return len(self._sessions)


def _load(
    path: Path, device: Device, lanes: int, optimization: Optimization, spin: bool, capture: bool, limit: int | None
) -> ort.InferenceSession:
    try:
        return device.session(path, lanes, optimization, spin, capture=capture, limit=limit)
    except ChrionError:
        raise
    except Exception as error:  # noqa: BLE001, ONNX Runtime raises many types
        if device.memory == HOST and is_out_of_memory(str(error)):
            raise PlanRefused(
                f"the weights of a stage do not fit in the {RUN_MEMORY.limit} bytes that there are for all runs, "
                f"weights included: raise the limit {LIMIT}"
            ) from None
        raise PlanRefused(f"{device.name} cannot load a stage, plan again: {brief(error)}") from None
