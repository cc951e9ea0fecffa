"""A Python process of its own for work that must not hurt this one: it may crash, hang or eat memory.

Nothing here knows what the work is: the errors say what became of the process.
"""

from chrion_graph.worker.errors import (
    WorkerDied,
    WorkerError,
    WorkerFailed,
    WorkerKilled,
    WorkerOutOfMemory,
    WorkerTimeout,
)
from chrion_graph.worker.fork_server import ForkServer
from chrion_graph.worker.parent import Worker

__all__ = [
    "ForkServer",
    "Worker",
    "WorkerDied",
    "WorkerError",
    "WorkerFailed",
    "WorkerKilled",
    "WorkerOutOfMemory",
    "WorkerTimeout",
]
