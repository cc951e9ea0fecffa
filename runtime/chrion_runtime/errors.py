"""The runtime's errors.

ChrionError
└── RuntimeFailure          anything the runtime refuses or fails at
    ├── DeviceUnavailable   a device was asked for that this process cannot use
    ├── PlanRefused         a plan that does not fit the model, the graph or this machine
    ├── RunError            the model failed on the values of one request
    │   ├── OutOfMemory     for there is no memory left beside what else runs
    │   ├── OverMemory      for it takes more memory than runs may, whatever else runs
    │   └── UnfitValues     and it is the values that are at fault
    ├── RunStopped          a run was ended before it had finished
    ├── SequenceLost        a request of a sequence whose state is not here
    ├── SequenceMismatch    a request that does not fit the state of its sequence
    ├── SequencesFull       every sequence that may be kept is in use, or all that states may take
    ├── TooMuchToKeep       state that takes more memory than all states may
    ├── ProcessLost         the process of the model's group ended over this request
    ├── Restarting          there is none now: another is being started
    ├── StateRefused        state that the model cannot carry from an output to an input
    └── Unreadable          a file of plans or of an objective that cannot be read
"""

from chrion_api import ChrionError


class RuntimeFailure(ChrionError):
    """Anything the runtime refuses or fails at."""


class DeviceUnavailable(RuntimeFailure):
    """A device was asked for that this process cannot use."""


class PlanRefused(RuntimeFailure):
    """A plan that does not fit the model, the graph or this machine."""


class RunError(RuntimeFailure):
    """The model failed on the values of one request."""

    request_id: str | None = None
    """The `id` that the client gave the request, where that is known."""


class OutOfMemory(RunError):
    """There is no memory left for a request, on the host or on a GPU; the next one may find some."""

    on_host: bool = False
    """Whether it is the host's."""


class OverMemory(RunError):
    """A request that takes more memory than all runs may together, whatever else runs."""


class UnfitValues(RunError):
    """Values that the model cannot run on: shapes that do not go together, an index out of range."""


class RunStopped(RuntimeFailure):
    """A run was ended before it had finished: at its deadline, or because its client has left."""

    def __init__(self) -> None:
        super().__init__("the run was stopped")


class SequenceLost(RuntimeFailure):
    """A request of a sequence whose state is not here: never begun, ended, given up, or at another replica."""


class SequenceMismatch(RuntimeFailure):
    """A request that does not fit the state of its sequence, or is of one where the model carries no state."""


class SequencesFull(RuntimeFailure):
    """Every sequence that may be kept has a request under way, or those that have hold all that states may take."""


class TooMuchToKeep(RuntimeFailure):
    """State that takes more memory than the states of all sequences may together."""


class ProcessLost(RuntimeFailure):
    """The process of the model's group ended while this request ran, which may or may not have been its fault."""

    def __init__(self, model: str, outcome: str) -> None:
        super().__init__(f'the process of model "{model}" ended while this request ran ({outcome}): try again')


class Restarting(RuntimeFailure):
    """The model's process has ended, and another one is being started."""

    def __init__(self, model: str) -> None:
        super().__init__(f'the process of model "{model}" is restarting: try again')


class StateRefused(RuntimeFailure):
    """State that the model cannot carry from an output to an input."""


class Unreadable(RuntimeFailure):
    """A file of plans or of an objective that cannot be read."""
