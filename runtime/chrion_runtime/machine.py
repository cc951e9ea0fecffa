"""What the models of one process share: the right to the lanes, and the memory of the GPUs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Lock

from chrion_api import Plan
from chrion_runtime.devices import Device
from chrion_runtime.errors import PlanRefused
from chrion_runtime.ladder import HOST, gpu_bytes
from chrion_runtime.rights import Rights

Held = Callable[[], Sequence[Plan]]
"""The plans whose memory a model takes now."""


class Machine:
    """One for all models of a process; a model that is alone needs none."""

    def __init__(self, rights: Rights | None = None) -> None:
        self.rights = rights or Rights()
        self._guard = Lock()
        self._names: dict[Held, str] = {}

    def move_in(self, name: str, held: Held, plans: Sequence[Plan], devices: Mapping[str, Device]) -> None:
        """A model that takes the memory of `plans`, and later of what `held` says. Raises PlanRefused as `check`."""
        with self._guard:
            self._check(name, held, plans, devices)
            self._names[held] = name

    def move_out(self, held: Held) -> None:
        """A model that takes no memory any more."""
        with self._guard:
            self._names.pop(held, None)

    def check(self, name: str, held: Held, plans: Sequence[Plan], devices: Mapping[str, Device]) -> None:
        """Raise PlanRefused where a GPU has no room for these plans of a model beside what the others take."""
        with self._guard:
            self._check(name, held, plans, devices)

    def _check(self, name: str, held: Held, plans: Sequence[Plan], devices: Mapping[str, Device]) -> None:
        for gpu, device in devices.items():
            own = _bytes_on(gpu, plans)
            if device.total_bytes is None or not own.total:
                continue
            others = [(other, _bytes_on(gpu, takes())) for takes, other in self._names.items() if takes != held]
            context = max([own.context, *(taken.context for _, taken in others)])
            wanted = context + own.rest + sum(taken.rest for _, taken in others)
            if wanted > device.total_bytes:
                beside = ", ".join(f'"{other}" {taken.total}' for other, taken in others if taken.total) or "none"
                raise PlanRefused(
                    f'{gpu} has {device.total_bytes} bytes; "{name}" takes {own.total} of them, and of the models '
                    f"beside it {beside}: lower a slo.gpuMemory, or serve them apart"
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
