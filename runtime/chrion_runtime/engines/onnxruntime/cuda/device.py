"""An NVIDIA GPU: lanes are CUDA streams."""

from collections.abc import Mapping

from chrion_api import DeviceKey
from chrion_runtime.devices.device import Device, Traits
from chrion_runtime.engines.onnxruntime.cuda.driver import Driver
from chrion_runtime.engines.onnxruntime.cuda.memory import CudaMemory
from chrion_runtime.engines.onnxruntime.cuda.probe import PROVIDER, first_use_problem, look, problem
from chrion_runtime.errors import DeviceUnavailable

LANES = 2
"""Lanes of a GPU. A lane is a set of sessions, each with a stream of its own, and costs nothing until a plan uses it.
Two let one chain of small kernels fill what another leaves idle; more would each hold their stages' weights again."""


class Cuda(Device):
    """One GPU.

    Lanes run in parallel, each by its own sessions. Values stay on the GPU between them, and are complete when another
    lane reads them: a run and a copy return only when their stream has nothing left to do.
    """

    traits = Traits(
        shares_kernels=False,
        threads=False,
        crowds=True,
        captures=True,
        costly_launches=True,
        reserves_address_space=True,
        provider=PROVIDER,
        recurrent_copies=2,
    )

    @classmethod
    def open(cls, name: str, index: int) -> "Cuda":
        return cls(name, index)

    def __init__(self, name: str, index: int) -> None:
        """Raises DeviceUnavailable, with the reason, where the GPU cannot be used."""
        self.index = index
        if found := problem(look(), index):
            raise DeviceUnavailable(f"{name}: {found}")
        try:
            memory = CudaMemory(name, index)
        except Exception as error:  # noqa: BLE001, ONNX Runtime raises many types
            raise DeviceUnavailable(f"{name}: {first_use_problem(error)}") from None
        super().__init__(name, memory, LANES)

    def key(self, engines: Mapping[str, str]) -> DeviceKey:
        driver = Driver()
        return DeviceKey(
            product=driver.product(self.index),
            cores=max(1, driver.multiprocessors(self.index)),
            engines=dict(engines),
            driver=str(driver.version),
        )
