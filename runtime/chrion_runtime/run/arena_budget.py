"""Share a budget of GPU memory out among sessions: ONNX Runtime bounds the arena of each one, and not their sum."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from chrion_api import HOST, Optimization
from chrion_runtime.run.compiled_plan import CompiledPlan

SessionKey = tuple[Path, tuple[str, ...], Optimization, bool]
"""What tells a session from others: its sub-model's file, its lanes, its optimisation, whether it is captured."""


def arena_budgets(compiled_plans: Sequence[CompiledPlan], budget: int) -> dict[SessionKey, int]:
    """The bytes that each session of plans which serve side by side may take of its arena.

    They add up to no more than the budget, less what the plans predict to lie outside of arenas: the context, which is
    there once, values between stages, and the libraries' handles. Empty where a stage on a GPU does not say what its
    session takes (`arenaBytes`): then there is nothing to share by.
    """
    needs: dict[SessionKey, int] = {}
    for compiled in compiled_plans:
        for stage, file in zip(compiled.plan.stages, compiled.files, strict=True):
            if stage.device != HOST:
                key = file.path, stage.lanes, stage.optimization, stage.cuda_graph
                needs[key] = max(stage.arena_bytes, needs.get(key, 0))
    plans = [compiled.plan for compiled in compiled_plans]
    context = max((plan.gpu_bytes.context for plan in plans), default=0)
    return share_out(needs, budget - context - sum(plan.outside_bytes for plan in plans))


def share_out(needs: Mapping[SessionKey, int], room: int) -> dict[SessionKey, int]:
    """The room by needs: each session has what it needs, and of what is left, or lacking, its part."""
    total = sum(needs.values())
    if not all(needs.values()):
        return {}
    return {key: max(room, 0) * need // total for key, need in needs.items()}
