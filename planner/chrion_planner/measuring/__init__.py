"""Measuring: contenders each in a process of its own, taken in turn, and what can be said of the figures."""

from chrion_planner.measuring.contender import Arrays, Contender, Feeds, PlanContender, SessionContender
from chrion_planner.measuring.contest import Referee, Result, contest
from chrion_planner.measuring.statistics import faster, latency, ratios
from chrion_planner.measuring.trial import Trial

__all__ = [
    "Arrays",
    "Contender",
    "Feeds",
    "PlanContender",
    "Referee",
    "Result",
    "SessionContender",
    "Trial",
    "contest",
    "faster",
    "latency",
    "ratios",
]
