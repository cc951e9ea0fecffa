"""The planner's errors.

ChrionError
└── PlanningError           anything the planner refuses or fails at
    ├── ProfileMismatch     a profile that was made for another model, other shapes or other devices
    └── ScheduleError       a schedule or a set of stages that breaks a rule of its problem
"""

from chrion_api import ChrionError


class PlanningError(ChrionError):
    """Anything the planner refuses or fails at."""


class ProfileMismatch(PlanningError):
    """A profile that was made for another model, other shapes or other devices."""


class ScheduleError(PlanningError):
    """A schedule or a set of stages that breaks a rule of its problem; `rule` is the rule's name."""

    def __init__(self, rule: str, problem: str) -> None:
        super().__init__(f"the schedule breaks the rule of {rule}: {problem}; this is a bug in the partitioner")
        self.rule = rule
        self.problem = problem

    def __reduce__(self) -> tuple[type["ScheduleError"], tuple[str, str]]:
        return type(self), (self.rule, self.problem)
