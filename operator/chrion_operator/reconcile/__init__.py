"""Decides, from a ChrionModel and what there is, what to write; pure."""

from chrion_operator.reconcile.decide import decide
from chrion_operator.reconcile.observed import Decision, Key, Observed, PodAnswer, SeenObject, WriteRefusal

__all__ = ["Decision", "Key", "Observed", "PodAnswer", "SeenObject", "WriteRefusal", "decide"]
