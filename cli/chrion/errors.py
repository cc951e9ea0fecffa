"""The errors of Chrion, as one tree; `chrion` has each of them by its name.

ChrionError                 anything a user can act on: its text is one line that says what is wrong and what to do
├── UsageError              options, files or addresses that cannot be used together or at all
├── InvalidDocument         a document that cannot be read at all
│   └── InvalidField        a field that is missing, unknown or has a wrong value
├── ModelError              anything about a model
│   ├── InvalidModel        not an ONNX model, or one that cannot be loaded or run
│   ├── UnsafeModel         external data that leads outside the model's folder
│   ├── LimitExceeded       larger, slower or hungrier than the limits allow
│   ├── InputMismatch       input names or shapes that do not fit the model
│   └── RewriteError        a rewrite that cannot be replayed on this graph
├── WriteFailed             a file could not be written, for lack of space or of permission
├── PlanningError           anything the planner refuses or fails at
│   └── ProfileMismatch     a profile that was made for another model, other shapes or other devices
├── RuntimeFailure          anything the runtime refuses or fails at
│   ├── DeviceUnavailable   a device was asked for that this process cannot use
│   ├── PlanRefused         a plan that does not fit the model, the graph or this machine
│   ├── StateRefused        state that the model cannot carry from an output to an input
│   ├── Unreadable          a file of plans or of an objective that cannot be read
│   ├── RunError            the model failed on the values of one request
│   │   ├── OutOfMemory     for there is no memory left beside what else runs
│   │   ├── OverMemory      for it takes more memory than runs may, whatever else runs
│   │   └── UnfitValues     and it is the values that are at fault
│   ├── RunStopped          a run was ended before it had finished
│   ├── SequenceLost        a request of a sequence whose state is not here
│   ├── SequenceMismatch    a request that does not fit the state of its sequence
│   ├── SequencesFull       every sequence that may be kept is in use, or all that states may take
│   └── TooMuchToKeep       state that takes more memory than all states may
└── WorkerError             what became of work in a process of its own
    └── WorkerFailed        it failed in another way: a bug in Chrion or in a library

Those that only a server, a fetch or a planner's inside raises are in modules of their own.
"""

from chrion_api import ChrionError


class UsageError(ChrionError):
    """Options, files or addresses that cannot be used together or at all."""
