"""Recurrent state across the requests of a sequence: which outputs feed which inputs, and whose state is kept."""

from chrion_runtime.sequences.links import state_links
from chrion_runtime.sequences.sequences import Sequences
from chrion_runtime.sequences.store import Event, SequenceStore

__all__ = ["Event", "SequenceStore", "Sequences", "state_links"]
