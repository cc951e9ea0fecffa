"""What the models of one process share: the locks of the lanes, and the memory of the GPUs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Lock

from chrion_api import HOST, Plan
from chrion_runtime.choice.ladder import gpu_bytes
from chrion_runtime.devices import Device
from chrion_runtime.errors import PlanRefused
from chrion_runtime.run.lane_locks import LaneLocks

HeldPlans = Callable[[], Sequence[Plan]]
"""The plans whose memory a model takes now."""


class Machine:
    """One for all models of a process; a model that is alone needs none."""

    def __init__(self, locks: LaneLocks | None = None) -> None:
        self.locks = locks or LaneLocks()
        self._guard = Lock()
        self._names: dict[HeldPlans, str] = {}

    def move_in(
        self,
        name: str,
        held: HeldPlans,
        plans: Sequence[Plan],
        devices: Mapping[str, Device],
        budget: int | None = None,
    ) -> None:
        """A model that takes the memory of `plans`, and later of what `held` says.

        All of its `budget`, in bytes, must be free. Raises PlanRefused as `check`.
        """
        with self._guard:
            self._check(name, held, plans, devices, budget)
            self._names[held] = name

    def move_out(self, held: HeldPlans) -> None:
        """A model that takes no memory any more."""
        with self._guard:
            self._names.pop(held, None)

    def check(self, name: str, held: HeldPlans, plans: Sequence[Plan], devices: Mapping[str, Device]) -> None:
        """Raise PlanRefused where a GPU has no room for these plans of a model: because of what the other models take,
        or of what other processes do."""
        with self._guard:
            self._check(name, held, plans, devices, None)

    def _check(
        self, name: str, held: HeldPlans, plans: Sequence[Plan], devices: Mapping[str, Device], budget: int | None
    ) -> None:
        for gpu, device in devices.items():
            own = _bytes_on(gpu, plans)
            if not own.total:
                continue
            others = [(other, _bytes_on(gpu, takes())) for takes, other in self._names.items() if takes != held]
            context = max([own.context, *(taken.context for _, taken in others)])
            beside = context + sum(taken.rest for _, taken in others)
            total = device.memory.total_bytes
            if total is not None and beside + own.rest > total:
                named = ", ".join(f'"{other}" {taken.total}' for other, taken in others if taken.total) or "none"
                raise PlanRefused(
                    f'{gpu} has {total} bytes; "{name}" takes {own.total} of them, and of the models beside it '
                    f"{named}: lower a slo.gpuMemory, or serve them apart"
                )
            need = max(own.total, budget or 0) - own.context
            loaded = [_bytes_on(gpu, takes()) for takes in self._names]
            stated = max((one.context for one in loaded), default=0) + sum(one.rest for one in loaded)
            _check_free(gpu, device, name, beside + need, stated)


def _check_free(gpu: str, device: Device, name: str, wanted: int, stated: int) -> None:
    """Raise PlanRefused where the process cannot come to take `wanted` bytes for what other processes take.

    `stated` is what plans say that it takes so far, for devices that cannot tell.
    """
    free = device.memory.free_bytes()
    if free is None:
        return
    used = device.memory.used()
    more = wanted - (used.total if used is not None else stated)
    if more > free:
        raise PlanRefused(
            f'{gpu} has {free} bytes free, and "{name}" needs {more}, which is slo.gpuMemory or what its plan takes: '
            "stop what else runs on the GPU (nvidia-smi lists it), lower slo.gpuMemory, or serve on another GPU"
        )


class _Bytes:
    """GPU memory of plans; the context is there once for all of a process."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        self.total = gpu_bytes(plans)
        self.context = max((plan.gpu_bytes.context for plan in plans), default=0)
        self.rest = self.total - self.context


def _bytes_on(device: str, plans: Iterable[Plan]) -> _Bytes:
    """What plans take on a GPU; of a plan over several the first is counted."""
    return _Bytes([plan for plan in plans if _gpu(plan) == device])


def _gpu(plan: Plan) -> str | None:
    return next((device for device in plan.devices if device != HOST), None)
