"""Models in a process of their own: what ends it costs the models of one group, and never the server.

A group is a set of models that trust each other; they share their process's lanes and its context on a GPU. Requests
and answers go through shared memory, and a socket that only says where they are.
"""

from chrion_runtime.isolation.group import Group
from chrion_runtime.isolation.model import IsolatedModel
from chrion_runtime.isolation.worker import Opening

__all__ = ["Group", "IsolatedModel", "Opening"]
