"""Decides, from a ChrionModel and what there is, what to write; pure."""

from chrion_operator.reconcile.decide import decide
from chrion_operator.reconcile.observed import Answer, Decision, Key, Observed, Refusal, Seen

__all__ = ["Answer", "Decision", "Key", "Observed", "Refusal", "Seen", "decide"]
